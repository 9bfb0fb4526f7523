"""WeightedEuclideanLoss: EuclideanLoss with a factor for each value."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.euclidean_loss import EuclideanLoss


@register
class WeightedEuclideanLoss(EuclideanLoss):
    """L = 1/(2N) · Σ (w·(a − b))², over all values of the N samples. A layer of type
    "EuclideanLoss" with three bottoms is this one.

    Gradients: ∂L/∂a = w²·(a − b)/N;  ∂L/∂b = −∂L/∂a. (The fork passes w·(a − b)/N.) w gets none.
    Shapes: a, b and w (N, …) with equally many values a sample, L ().
    Source: naibaf7/caffe.
    """

    bottoms = (3, 3)
    backward_reads: tuple[str, ...] = ("bottom",)
    extension = 'naibaf7/caffe; type "EuclideanLoss" there'
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "WeightedEuclideanLoss"',
            {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[1.0, 0.0], [0.0, 4.0]], "w": [[9.0, 3], [2, 9]]},
            {"loss": (36 + 36) / 4},
        ),
        Case(
            'type: "WeightedEuclideanLoss" loss_weight: 2',
            {"a": random(3, 2, 2), "b": random(3, 4), "w": random(3, 4)},
            tops=["loss"],
        ),
    )

    def propagates(self, index: int) -> bool:
        return index < 2

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shapes = super().reshape(bottom[:2])
        for shape in bottom[2:]:
            if shape[:1] != bottom[0][:1] or math.prod(shape) != math.prod(bottom[0]):
                self.fail(
                    f'bottom "{self.spec.bottom[2]}" is {show(shape)}',
                    "bottom",
                    index=2,
                    expected=f"a factor for each value of {show(bottom[0])}",
                )
        return shapes

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b, w = bottom
        d = np.subtract(a, b.reshape(a.shape), self._difference)
        np.multiply(d, w.reshape(d.shape), d)
        flat = d.reshape(-1)
        top[0][()] = np.dot(flat, flat) / (2 * self._n)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        slope = self._difference * bottom[2].reshape(self._difference.shape)
        for dx, sign in zip(bottom_diff[:2], (1, -1)):
            if dx is not None:
                np.multiply(slope.reshape(dx.shape), sign * top_diff[0] / self._n, dx)
