"""SigmoidCrossEntropyBalanceLoss: cross entropy in which both answers weigh the same."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, register
from caffelite.layers.cases import Case, random
from caffelite.layers.labels import check_targets


@register
class SigmoidCrossEntropyBalanceLoss(LossLayer):
    """L = −(1/N) Σ_i [ n₀/n · Σ ln σ(x) over the targets 1 + n₁/n · Σ ln(1 − σ(x)) over the targets
    0 ], for each sample i, where n₁ and n₀ are how many of its targets are 1 and 0, and n is
    n₁ + n₀. Other targets do not count.

    Gradient: ∂L/∂x = n₀/n·(σ(x) − 1)/N where the target is 1, n₁/n·σ(x)/N where it is 0, else 0
    (in the fork σ(x) − t, unweighted).
    Shapes: x and t (N, …) with equally many values, L ().
    Source: Xie and Tu 2015, HED, and Caelles et al. 2017, OSVOS (kmaninis/OSVOS-caffe). The fork of
    HED calls it SigmoidCrossEntropyLoss.
    """

    prediction = "Sigmoid"
    backward_reads = ("bottom",)
    extension = "OSVOS (kmaninis)"
    cases = (
        Case(
            'type: "SigmoidCrossEntropyBalanceLoss"',
            # one 1 and three 0: the 1 weighs 3/4, each 0 1/4; σ(0) is 1/2, σ(ln 3) 3/4
            {"x": [[math.log(3.0), 0.0, 0.0, math.log(3.0)]], "t": [[1.0, 0.0, 0.0, 0.0]]},
            {"loss": 0.75 * math.log(4 / 3) + 0.25 * (2 * math.log(2) + math.log(4))},
        ),
        Case(
            'type: "SigmoidCrossEntropyBalanceLoss"',
            # in the second sample one target is neither; in the third there is no 0
            {
                "x": [[0.0, 0.0], [9.0, 0.0], [5.0, 6.0]],
                "t": [[1.0, 0.0], [0.5, 0.0], [1.0, 1.0]],
            },
            {"loss": math.log(2) / 3},
        ),
        Case(
            'type: "SigmoidCrossEntropyBalanceLoss" loss_weight: 3',
            {
                "x": random(2, 1, 2, 3, low=-4, high=4),
                "t": [[1, 0, 0, 1, 0, 2], [0, 0, 0, 1, 0, 0]],
            },
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        check_targets(self, bottom)
        return [()]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        self._view = (shape[0], math.prod(shape[1:]))
        self._n = max(1, shape[0])

    def _weights(self, t: Array) -> Array:
        """How much each value counts."""
        yes, no = t == 1, t == 0
        ones, zeros = (part.sum(1, keepdims=True).astype(self.dtype) for part in (yes, no))
        every = np.maximum(ones + zeros, 1)
        weights: Array = yes * (zeros / every) + no * (ones / every)
        return weights

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, t = (blob.reshape(self._view) for blob in bottom)
        # −ln σ(x) = max(x, 0) − x + ln(1 + e^−|x|), which no x can overflow
        cost = np.maximum(x, 0) - x * (t == 1) + np.log1p(np.exp(-np.abs(x)))
        top[0][()] = (self._weights(t) * cost).sum() / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        x, t = (blob.reshape(self._view) for blob in bottom)
        slope = (np.tanh(x / 2) + 1) / 2 - (t == 1)
        np.multiply(slope * self._weights(t), top_diff[0] / self._n, dx.reshape(self._view))
