"""AbsVal: the absolute value."""

from __future__ import annotations

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, register
from caffelite.layers.cases import Case


@register
class AbsVal(Layer):
    """y = |x|.

    Gradient: ∂L/∂x = ∂L/∂y · sign(x), with sign(0) = 0.
    Shapes: bottom and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/abs.html
    """

    backward_reads = ("bottom",)
    cases = (
        Case('type: "AbsVal"', {"x": [[-2.0, -0.5, 0.5, 2.0]]}, {"y": [[2.0, 0.5, 0.5, 2.0]]}),
    )

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.abs(bottom[0], top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (x,), (dy,), (dx,) = bottom, top_diff, bottom_diff
        if dx is not None:
            np.sign(x, dx)
            np.multiply(dy, dx, dx)
