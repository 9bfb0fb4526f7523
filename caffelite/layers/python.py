"""Python: a layer that is a class of the user's, written for pycaffe."""

from __future__ import annotations

import numpy as np

from caffelite import mode
from caffelite.blob import Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.hosting import Host
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class PythonParameter(LayerMessage, field="python_param", number=130):
    """Which class runs, and what it is given."""

    module: str = field(1, "string", doc="the module, as `import` finds it")
    layer: str = field(2, "string", doc="the class in it, a subclass of caffe.Layer")
    param_str: str = field(3, "string", doc="text that the class is given")
    share_in_parallel: bool = field(4, "bool", default=False, idle="one net is trained at a time")


@register
class Python(Layer):
    """y = what `forward` of the class `layer` in `module` makes of x.

    The class has pycaffe's form: `setup(bottom, top)`, once; `reshape(bottom, top)`, before every
    forward pass, which may load data; `forward(bottom, top)`, which may reshape tops too;
    `backward(top, propagate_down, bottom)`. It finds `self.blobs` (in `setup`,
    `self.blobs.add_blob(…)` adds a parameter), `self.param_str` and `self.phase`. It runs code, so
    it must be allowed: in a program by use of `caffelite.pycaffe.Net`, on the command line by
    `--allow-python-layers`.

    Gradient: what `backward` writes into the bottoms' diffs.
    Shapes: any number of bottoms and tops, tops as the class reshapes them.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/python.html
    """

    bottoms = (0, ANY)
    tops = (0, ANY)
    dynamic = True
    repeatable = False
    hosts = True
    tested_in = "tests/pycaffe/test_layer.py"
    param: PythonParameter = param_of(PythonParameter)

    def setup(self, bottom: Shapes) -> None:
        if mode.request.import_layers is None:
            self.fail(
                f'runs code, the class "{self.param.layer}" of the module "{self.param.module}"',
                "python_param",
                expected="that you allow it",
                hint="on the command line by --allow-python-layers, in a program "
                "`import caffelite.pycaffe as caffe` and caffe.Net",
            )
        for name in ("module", "layer"):
            self.need("python_param", name, expected='module: "my_layers" layer: "MyLoss"')
        self._planned = list(bottom)
        self.host = self._new_host()
        self._unused = [self.host]  # made to plan with; the first net takes it over
        for blob in self.host.blobs:
            self.declare(blob.shape)

    def _new_host(self) -> Host:
        return Host(self.spec, self.dtype, int(self.phase), self._planned)

    def open(self) -> None:
        self.host = self._unused.pop() if self._unused else self._new_host()
        for blob, mine in zip(self.host.blobs, self.params):
            if not mine.data.any():  # else it is another layer's, which has filled it
                mine.data[...] = blob.data
        self.host.blobs[:] = list(self.params)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        host = self.host
        if [blob.shape for blob in host.bottom] != list(bottom):
            for blob, shape in zip(host.bottom, bottom):
                blob.fit(shape)
            host.run("reshape", host.bottom, host.top)
        return host.shapes

    def reshape_to(self, bottom: Arrays) -> list[Shape]:
        # the code's forward pass runs here: only after it the tops' shapes stand
        host = self.host
        host.show(bottom)
        host.run("reshape", host.bottom, host.top)
        host.run("forward", host.bottom, host.top)
        return host.shapes

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for blob, array, same in zip(self.host.top, top, self.host.same):
            if blob.data is array:
                continue
            np.copyto(array, blob.data)
            if same is None:
                blob.lie_in(array)  # the next pass writes it there at once

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        host = self.host
        for i, (blob, values) in enumerate(zip(host.bottom, bottom)):
            if i not in host.same:
                blob.lie_in(values)
        for blob, values, diff, same in zip(host.top, top, top_diff, host.same):
            if same is None:
                blob.lie_in(values)
            blob.diff[...] = diff
        down = [diff is not None for diff in bottom_diff]
        host.run("backward", host.top, down, host.bottom)
        for blob, out in zip(host.bottom, bottom_diff):
            if out is not None:
                out[...] = blob.diff.reshape(out.shape)
