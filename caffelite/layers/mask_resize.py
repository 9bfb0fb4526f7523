"""MaskResize: masks of another size."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class MaskResizeParameter(LayerMessage, field="mask_resize_param", number=11890):
    """The new size."""

    output_height: int = field(1, "uint32", required=True, least=1, doc="height of the top")
    output_width: int = field(2, "uint32", required=True, least=1, doc="width of the top")
    factor_height: float = field(
        3, "float", default=0.0, least=0, doc="SSTD: above 0 it, times the bottom's, is the height"
    )
    factor_width: float = field(4, "float", default=0.0, least=0, doc="SSTD: likewise the width")


@register
class MaskResize(Layer):
    """Y = A·X·Bᵀ for each mask X: row i of the top is interpolated at i·f among the bottom's rows,
    with f the bottom's height over the top's; likewise for columns. Behind the last row its value
    stands, half a row far; beyond that 0.

    Gradient: ∂L/∂X = Aᵀ·(∂L/∂Y)·B.
    Shapes: (N, C, H, W) to (N, C, output_height, output_width), or, where a factor is above 0, to
    ⌊H·factor_height⌋ rows and ⌊W·factor_width⌋ columns.
    Source: Dai et al. 2016, Multi-task Network Cascades (daijifeng001/caffe-mnc); the factors are
    those of He et al. 2017, Single Shot Text Detector (BestSonny/SSTD).
    """

    backward_reads = ()
    extension = "MNC (daijifeng001/caffe-mnc), mask_resize_param = 11890"
    param: MaskResizeParameter = param_of(MaskResizeParameter)
    cases = (
        Case(
            'type: "MaskResize" mask_resize_param { output_height: 1 output_width: 2 }',
            # columns 0 and 1.5
            {"x": [[[[1.0, 2.0, 6.0]]]]},
            {"y": [[[[1.0, 4.0]]]]},
        ),
        Case(
            'type: "MaskResize" mask_resize_param { output_height: 1 output_width: 6 }',
            # columns 0, 1/3, 2/3, 1, 4/3 and 5/3
            {"x": [[[[3.0, 9.0]]]]},
            {"y": [[[[3.0, 5.0, 7.0, 9.0, 9.0, 0.0]]]]},
        ),
        Case(
            'type: "MaskResize" mask_resize_param { output_height: 1 output_width: 1 '
            "factor_width: 0.7 }",
            # of 0.7 * 3 columns 2: 0 and 1.5
            {"x": [[[[1.0, 2.0, 6.0]]]]},
            {"y": [[[[1.0, 4.0]]]]},
        ),
        Case(
            'type: "MaskResize" mask_resize_param { output_height: 3 output_width: 4 }',
            {"x": random(2, 2, 5, 3)},
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape, p = bottom[0], self.param
        if len(shape) != 4:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x H x W")
        sides = (
            # the fork multiplies in float32
            int(np.float32(side) * np.float32(factor)) if factor > 0 else given
            for side, factor, given in (
                (shape[2], p.factor_height, p.output_height),
                (shape[3], p.factor_width, p.output_width),
            )
        )
        return [(*shape[:2], *sides)]

    def prepare(self) -> None:
        sizes = zip(self.top_shapes[0][2:], self.bottom_shapes[0][2:])
        self._a, self._b = (self._weights(n, m) for n, m in sizes)

    def _weights(self, n: int, m: int) -> Array:
        at, rows = np.arange(n) * (m / n), np.arange(n)
        low = np.minimum(at.astype(int), m - 1)
        share = np.where(low == m - 1, 0, at - low)
        weights = np.zeros((n, m), self.dtype)
        if m:
            weights[rows, low] = 1 - share
            weights[rows, np.minimum(low + 1, m - 1)] += share.astype(self.dtype)
            weights[at > m - 0.5] = 0
        return weights

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.matmul(self._a @ bottom[0], self._b.T, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.matmul(self._a.T @ top_diff[0], self._b, bottom_diff[0])
