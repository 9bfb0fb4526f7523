"""Input: blobs that the user fills."""

from __future__ import annotations

from caffelite.blob import Shape
from caffelite.layers.base import ANY, Arrays, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.common import BlobShape
from caffelite.schema.message import repeated
from caffelite.schema.net import LayerMessage


class InputParameter(LayerMessage, field="input_param", number=143):
    """The shapes of the inputs."""

    shape: list[BlobShape] = repeated(
        1, BlobShape, doc="one for each top, or one that all tops share"
    )


@register
class Input(Layer):
    """Tops that the user fills before the forward pass: `net.blobs["data"].data[...] = x`.

    Shapes: each top as its `shape` says; the values start as zeros and stay between passes.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/input.html
    """

    bottoms = (0, 0)
    tops = (1, ANY)
    source = True
    fed = True
    backward_reads = ()
    param: InputParameter = param_of(InputParameter)
    cases = (
        Case(
            'type: "Input" input_param { shape { dim: 2 dim: 3 } }', outputs={"y": [[0.0] * 3] * 2}
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        shapes = self.param.shape
        if len(shapes) not in (1, len(self.spec.top)):
            self.fail(
                f"{len(shapes)} shapes for {len(self.spec.top)} tops",
                "input_param",
                expected="one shape for each top, or one for all",
                hint="input_param { shape { dim: 64 dim: 3 dim: 28 dim: 28 } }",
            )
        for shape in shapes:
            if any(n < 0 for n in shape.dim):
                self.fail("an extent is negative", "input_param", expected="extents of 0 or more")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        given = [tuple(shape.dim) for shape in self.param.shape]
        return given if len(given) > 1 else given * len(self.spec.top)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        pass
