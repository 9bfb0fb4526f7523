"""BNLL: the binomial normal log likelihood, better known as softplus."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, register
from caffelite.layers.cases import Case, random
from caffelite.layers.sigmoid import sigmoid


@register
class BNLL(Layer):
    """y = ln(1 + e^x), computed as max(x, 0) + ln(1 + e^-|x|), which cannot overflow.

    Gradient: ∂L/∂x = ∂L/∂y · σ(x), with σ(x) = 1 / (1 + e^-x).
    Shapes: bottom and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/bnll.html
    """

    backward_reads = ("bottom",)
    cases = (
        Case(
            'type: "BNLL"',
            {"x": [[0.0, math.log(3), -math.log(3)]]},
            {"y": [[math.log(2), math.log(4), math.log(4 / 3)]]},
        ),
        Case('type: "BNLL"', {"x": [-1e4, 1e4]}, {"y": [0.0, 1e4]}, note="no overflow"),
        Case('type: "BNLL"', {"x": random(2, 3, 4, low=-4, high=4)}),
    )

    def prepare(self) -> None:
        self._rest = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,), rest = bottom, top, self._rest
        np.abs(x, rest)
        np.negative(rest, rest)
        np.exp(rest, rest)
        np.log1p(rest, rest)
        np.maximum(x, 0, out=y)
        np.add(y, rest, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (x,), (dy,), (dx,) = bottom, top_diff, bottom_diff
        if dx is not None:
            sigmoid(x, dx)
            np.multiply(dy, dx, dx)
