"""WeightedSigmoidCrossEntropyLoss: cross entropy of predictions that weigh differently."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, register, show
from caffelite.layers.cases import Case, random


@register
class WeightedSigmoidCrossEntropyLoss(LossLayer):
    """L = −Σ w·[ t·ln σ(x) + (1 − t)·ln(1 − σ(x)) ] / Σ w, with σ(x) = 1/(1 + e^−x); 0 where the
    weights add up to 0 or less. A layer of type "SigmoidCrossEntropyLoss" with three bottoms is
    this one.

    Gradient: ∂L/∂x = w·(σ(x) − t) / Σ w; none for targets and weights. (The fork does not divide
    where the weights add up to 0 or less.)
    Shapes: x, t and w (N, …) with equally many values, L ().
    Source: Dai et al. 2016, Multi-task Network Cascades (daijifeng001/caffe-mnc).
    """

    bottoms = (3, 3)
    prediction = "Sigmoid"
    backward_reads = ("bottom",)
    extension = 'MNC (daijifeng001/caffe-mnc); type "SigmoidCrossEntropyLoss" there'
    cases = (
        Case(
            'type: "WeightedSigmoidCrossEntropyLoss"',
            # σ(0) is 1/2, σ(ln 3) is 3/4
            {
                "x": [[0.0, math.log(3.0)], [math.log(3.0), 7.0]],
                "t": [[1.0, 0.0], [1.0, 1.0]],
                "w": [[2.0, 1.0], [1.0, 0.0]],
            },
            {"loss": (2 * math.log(2) + math.log(4) + math.log(4 / 3)) / 4},
        ),
        Case(
            'type: "WeightedSigmoidCrossEntropyLoss"',
            {"x": [[5.0]], "t": [[0.0]], "w": [[0.0]]},
            {"loss": 0.0},
        ),
        Case(
            'type: "WeightedSigmoidCrossEntropyLoss" loss_weight: 2',
            {
                "x": random(2, 3, low=-4, high=4),
                "t": random(2, 3, low=0, high=1),
                "w": random(2, 1, 3, low=0, high=1),
            },
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        first = bottom[0]
        for i, shape in enumerate(bottom):
            if not shape or shape[0] != first[0] or math.prod(shape) != math.prod(first):
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}, but '
                    f'"{self.spec.bottom[0]}" is {show(first)}',
                    "bottom",
                    index=i,
                    expected="a target and a weight for each prediction",
                )
        return [()]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, t, w = (blob.reshape(bottom[0].shape) for blob in bottom)
        # −t·ln σ(x) − (1 − t)·ln(1 − σ(x)) = max(x, 0) − x·t + ln(1 + e^−|x|)
        cost = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
        total = float(w.sum())
        self._share = 1 / total if total > 0 else 0.0
        top[0][()] = (w * cost).sum() * self._share

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            x, t, w = (blob.reshape(bottom[0].shape) for blob in bottom)
            slope = ((np.tanh(x / 2) + 1) / 2 - t) * w
            np.multiply(slope, top_diff[0] * self._share, bottom_diff[0])
