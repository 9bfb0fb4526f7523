"""EuclideanLoss: half the mean squared distance."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import (
    Arrays,
    Diffs,
    Layer,
    LossLayer,
    Shapes,
    register,
    registry,
    show,
)
from caffelite.layers.cases import Case, random
from caffelite.schema.net import LayerParameter

MEANS = ("L1", "L2")
"""PL4NN's classes, which divide by the number of values."""


@register
class EuclideanLoss(LossLayer):
    """L = 1/(2N) · Σ (a − b)², over all values of the N samples.

    Gradients: ∂L/∂a = (a − b)/N;  ∂L/∂b = −(a − b)/N. Unlike most losses, this one passes a
    gradient to both bottoms. With a third bottom it is WeightedEuclideanLoss.
    The class EuclideanLossLayer of Caffe's example of a Python layer is this one.
    Shapes: a and b (N, …) with equally many values a sample, L ().
    Also `type: "Python"` of the module pyloss, class L2 (PL4NN's): the mean over all values.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/euclideanloss.html
    """

    learns_labels = True
    python: ClassVar[tuple[tuple[str, str], ...]] = (
        ("pyloss", "EuclideanLossLayer"),
        ("pyloss", "L2"),
    )
    backward_reads: tuple[str, ...] = ()
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "EuclideanLoss"',
            {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[1.0, 0.0], [0.0, 4.0]]},
            {"loss": (4 + 9) / 4},
        ),
        Case(
            'type: "EuclideanLoss" loss_weight: 0.5',
            {"a": [[1.0], [2.0]], "b": [0.0, 4.0]},
            {"loss": 5 / 4},
        ),
        Case('type: "EuclideanLoss"', {"a": random(3, 2, 2), "b": random(3, 4)}),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        """WeightedEuclideanLoss, where a third bottom says so."""
        return registry["WeightedEuclideanLoss"] if len(spec.bottom) > 2 else cls

    def propagates(self, index: int) -> bool:
        return True

    def reshape(self, bottom: Shapes) -> list[Shape]:
        a, b = bottom
        if not a or not b or a[0] != b[0] or math.prod(a[1:]) != math.prod(b[1:]):
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(a)}, but '
                f'"{self.spec.bottom[1]}" is {show(b)}',
                "bottom",
                index=1,
                expected="equally many samples, and values in each",
            )
        return [()]

    def prepare(self) -> None:
        self._difference = np.empty(self.bottom_shapes[0], self.dtype)
        shape = self.bottom_shapes[0]
        whole = self.spec.type == "Python" and self.spec.get("python_param").layer in MEANS
        self._n = max(1, math.prod(shape) if whole else shape[0])

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b = bottom
        np.subtract(a, b.reshape(a.shape), self._difference)
        flat = self._difference.reshape(-1)
        top[0][()] = np.dot(flat, flat) / (2 * self._n)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        scale = top_diff[0] / self._n
        for dx, sign in zip(bottom_diff, (1, -1)):
            if dx is not None:
                np.multiply(self._difference.reshape(dx.shape), sign * scale, dx)
