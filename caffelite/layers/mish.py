"""Mish: x gated by the hyperbolic tangent of its softplus."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, register
from caffelite.layers.cases import Case, random
from caffelite.layers.sigmoid import sigmoid


@register
class Mish(Layer):
    """y = x·t with t = tanh(ln(1 + e^x)).

    Gradient: ∂L/∂x = ∂L/∂y · (t + x·(1 - t²)·σ(x)), with σ(x) = 1 / (1 + e^-x).
    Shapes: bottom and top alike, any.
    Source: Misra 2019, Mish: A Self Regularized Non-Monotonic Activation Function; the forks that
    run YOLO v4.
    """

    in_place = True
    backward_reads = ()
    extension = "the forks that run YOLO v4 (ChenYingpeng/caffe-yolov3)"
    cases = (
        Case(
            'type: "Mish"',
            # 1 + e^x is 2 and 4: tanh(ln n) is (n² - 1)/(n² + 1)
            {"x": [[0.0, math.log(3), -1000.0]]},
            {"y": [[0.0, 15 / 17 * math.log(3), 0.0]]},
            gradient=False,  # -1000 is there for the overflow
        ),
        Case('type: "Mish"', {"x": random(2, 3, 4, low=-4, high=4)}),
    )

    def prepare(self) -> None:
        self._gate = np.empty(self.bottom_shapes[0], self.dtype)
        self._slope = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,), gate, slope = bottom, top, self._gate, self._slope
        np.logaddexp(x, 0, out=gate)
        np.tanh(gate, gate)
        sigmoid(x, slope)
        np.multiply(slope, x, slope)
        np.multiply(slope, 1 - gate * gate, slope)
        np.add(slope, gate, slope)
        np.multiply(x, gate, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(top_diff[0], self._slope, bottom_diff[0])
