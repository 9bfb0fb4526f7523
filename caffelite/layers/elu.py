"""ELU: the exponential linear unit."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ELUParameter(LayerMessage, field="elu_param", number=140):
    """How far below zero it goes."""

    alpha: float = field(1, "float", default=1.0, doc="-alpha is the value far below zero")


@register
class ELU(Layer):
    """y = x where x > 0, α·(e^x - 1) elsewhere, with α = `alpha`.

    Gradient: ∂L/∂x = ∂L/∂y where x > 0; ∂L/∂y · α·e^x = ∂L/∂y · (y + α) elsewhere.
    Shapes: bottom and top alike, any.
    Source: Clevert, Unterthiner & Hochreiter 2015;
    https://caffe.berkeleyvision.org/tutorial/layers/elu.html
    """

    in_place = True
    backward_reads: tuple[str, ...] = ("top",)
    param: ELUParameter = param_of(ELUParameter)
    cases = (
        Case(
            'type: "ELU"',
            {"x": [[-math.log(4), -math.log(2), 0.5, 2.0]]},
            {"y": [[-0.75, -0.5, 0.5, 2.0]]},
        ),
        Case(
            'type: "ELU" elu_param { alpha: 0.5 }',
            {"x": [[-math.log(4), -math.log(2), 0.5, 2.0]]},
            {"y": [[-0.375, -0.25, 0.5, 2.0]]},
        ),
        Case(
            'type: "ELU" elu_param { alpha: -2 }',
            {"x": [[-math.log(2), 2.0]]},
            {"y": [[1.0, 2.0]]},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        if self.param.alpha < 0:
            # The sign of y no longer tells that of x, so x must be kept.
            self.in_place, self.backward_reads = False, ("bottom", "top")

    def prepare(self) -> None:
        self._below = np.empty(self.bottom_shapes[0], self.dtype)
        self._negative = np.empty(self.bottom_shapes[0], bool)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,), below = bottom, top, self._below
        np.minimum(x, 0, out=below)
        np.expm1(below, below)
        np.multiply(below, self.param.alpha, below)
        np.maximum(x, 0, out=y)
        np.add(y, below, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (y,), (dy,), (dx,), slope = top, top_diff, bottom_diff, self._below
        if dx is None:
            return
        alpha = self.param.alpha
        # [x ≤ 0]·(y + α) + [x > 0]: many times as fast as choosing element by element
        np.less_equal(bottom[0] if alpha < 0 else y, 0, self._negative)
        np.minimum(y, max(-alpha, 0), out=slope)  # no y of x ≤ 0 is larger; spares 0·inf
        np.add(slope, alpha, slope)
        np.multiply(slope, self._negative, slope)
        np.logical_not(self._negative, self._negative)
        np.add(slope, self._negative, slope)
        np.multiply(dy, slope, dx)
