"""Squeeze: axes of extent 1 are left out."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import repeated
from caffelite.schema.net import LayerMessage


class SqueezeParameter(LayerMessage, field="squeeze_param", number=241):
    """Which axes."""

    axis: list[int] = repeated(1, "int32", doc="the axes, of extent 1; none: all of extent 1")


@register
class Squeeze(Layer):
    """y = x without the axes named, which are of extent 1; without a name, without all such.

    Gradient: ∂L/∂x is ∂L/∂y in the shape of x.
    Shapes: x any, y its other axes.
    Source: Synopsys Caffe (foss-for-synopsys-dwc-arc-processors).
    """

    backward_reads = ()
    extension = "Synopsys Caffe, squeeze_param = 241"
    param: SqueezeParameter = param_of(SqueezeParameter)
    cases = (
        Case('type: "Squeeze" squeeze_param { axis: -1 }', {"x": [[1.0], [2.0]]}, {"y": [1, 2]}),
        Case('type: "Squeeze"', {"x": random(2, 1, 3, 1)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        named = [self.axis(a, len(shape), "squeeze_param", "axis") for a in self.param.axis]
        for axis in named:
            if shape[axis] != 1:
                self.fail(
                    f'bottom "{self.spec.bottom[0]}" is {show(shape)}: axis {axis} is not 1',
                    "squeeze_param",
                    "axis",
                    expected="axes of extent 1",
                )
        gone = set(named) if named else {i for i, n in enumerate(shape) if n == 1}
        return [tuple(n for i, n in enumerate(shape) if i not in gone)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], bottom[0].reshape(top[0].shape))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], top_diff[0].reshape(bottom_diff[0].shape))
