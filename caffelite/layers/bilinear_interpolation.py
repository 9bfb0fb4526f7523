"""BilinearInterpolation: images of the size of others."""

from __future__ import annotations

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.interp import interpolation
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "bilinear_interpolation_param"


class BilinearInterpolationParameter(LayerMessage, field=PARAM, number=15500):
    """The factor, where no second bottom says the size."""

    interpolation_factor: int = field(1, "uint32", default=1, least=1, doc="factor on both sides")


@register
class BilinearInterpolation(Layer):
    """Y = A·X·Bᵀ for each image X, where A and B interpolate: the corners of top and bottom lie on
    each other, and point k of n lies at k·(m−1)/(n−1) among m; one point of many is the first.

    The size is that of a second bottom, or else the bottom's times `interpolation_factor`.

    Gradient: ∂L/∂X = Aᵀ·(∂L/∂Y)·B; none for the second bottom.
    Shapes: (N, C, H, W) to (N, C, height, width).
    Source: forks of Caffe that learn from documents (ctensmeyer), and others with a layer of this
    name; they have no common number for its message.
    """

    bottoms = (1, 2)
    backward_reads = ()
    extension = "ctensmeyer's fork"
    param: BilinearInterpolationParameter = param_of(BilinearInterpolationParameter)
    cases = (
        Case(
            f'type: "BilinearInterpolation" {PARAM} {{ interpolation_factor: 2 }}',
            # rows at 0 and 0; columns at 0, 1/3, 2/3 and 1
            {"x": [[[[0.0, 3.0]]]]},
            {"y": [[[[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]]]},
        ),
        Case(
            'type: "BilinearInterpolation"', {"x": random(2, 2, 3, 4), "size": random(1, 1, 5, 2)}
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        if any(len(s) != 4 for s in bottom):
            self.fail(
                "bottoms are " + ", ".join(map(show, bottom)), "bottom", expected="N x C x H x W"
            )
        factor = self.param.interpolation_factor
        size = bottom[1][2:] if len(bottom) == 2 else tuple(n * factor for n in bottom[0][2:])
        return [(*bottom[0][:2], *size)]

    def prepare(self) -> None:
        sizes = zip(self.top_shapes[0][2:], self.bottom_shapes[0][2:])
        self._a, self._b = (interpolation(n, m, self.dtype) for n, m in sizes)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        top[0][...] = self._a @ bottom[0] @ self._b.T

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            bottom_diff[0][...] = self._a.T @ top_diff[0] @ self._b
