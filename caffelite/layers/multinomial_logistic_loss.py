"""MultinomialLogisticLoss: cross entropy of given probabilities."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, register
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import LabelReader

LOG_THRESHOLD = 1e-20
"""Caffe's floor under a probability whose logarithm is taken."""


@register
class MultinomialLogisticLoss(LossLayer):
    """L = −(1/N) Σ_i ln max(p_i, 10⁻²⁰), p_i being the given probability of sample i's label.

    SoftmaxWithLoss does the same from scores and is safer with numbers near 0.

    Gradient: ∂L/∂p_ic = −1/(N·max(p_ic, 10⁻²⁰)) where c is sample i's label, 0 elsewhere. As in
    Caffe the floor has no part in the gradient.
    Shapes: probabilities (N, …), all axes but the first being the classes; labels (N,); L ().
    Source: Caffe's multinomial_logistic_loss_layer.
    """

    reads_probability = labels_are_classes = True
    floor = LOG_THRESHOLD
    backward_reads = ()
    cases = (
        Case(
            'type: "MultinomialLogisticLoss"',
            {"p": [[0.25, 0.75], [0.5, 0.5]], "label": [1, 0]},
            {"loss": (math.log(4 / 3) + math.log(2)) / 2},
        ),
        Case(
            'type: "MultinomialLogisticLoss"',
            {"p": [[0.0, 1.0]], "label": [0]},
            {"loss": 20 * math.log(10)},
            gradient=False,  # at the floor
        ),
        Case(
            'type: "MultinomialLogisticLoss" loss_weight: 2',
            {"p": random(4, 3, low=0.2, high=1), "label": labels(4, 1, 1, 1, classes=3)},
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        probs, labels = bottom
        sizes = (probs[0] if probs else 1, math.prod(probs[1:]))
        self._labels = LabelReader(self, sizes, 1, None, labels)
        self._n = max(1, sizes[0])
        return [()]

    def prepare(self) -> None:
        self._picked = np.empty(self._labels.outer, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        probs, label = bottom
        self._index = self._labels.read(label)
        probs.reshape(-1).take(self._index, None, self._picked, "clip")
        np.maximum(self._picked, LOG_THRESHOLD, out=self._picked)
        top[0][()] = -np.add.reduce(np.log(self._picked)) / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        dx.fill(0)
        dx.reshape(-1)[self._index] = -(top_diff[0] / self._n) / self._picked
