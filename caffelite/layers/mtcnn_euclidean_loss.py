"""MTCNNEuclideanLoss: a distance that samples without a target have no part in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.common import LossParameter


@register
class MTCNNEuclideanLoss(LossLayer):
    """L = ½ Σ |a_i − b_i|² over the samples whose label, the third bottom, is not
    `loss_param.ignore_label`; without that field, and the bottom, 1/(2N) Σ over all N samples.

    Gradients: ∂L/∂a = (a − b)/N for those samples, 0 for the others;  ∂L/∂b = −∂L/∂a. (With an
    `ignore_label` the fork divides the gradient by N and the loss not; so it is here.)
    Shapes: a and b (N, …) with equally many values a sample, labels (N,), L ().
    Source: dlunion/mtcnn, and its copies; of the two that there are, the one with ignore_label.
    """

    bottoms = (2, 3)
    learns_labels = True
    backward_reads = ()
    extension = "dlunion/mtcnn, zhubenfu's License-Plate-Detect-Recognition"
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "loss_param.normalization",
            "loss_param.normalize",
            "loss_param.pre_fixed_normalizer",
            "loss_param.class_weighting",
            "loss_param.weight_by_label_freqs",
        ),
        "it is divided as said",
    )
    cases = (
        Case(
            'type: "MTCNNEuclideanLoss" loss_param { ignore_label: 0 }',
            {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[1.0, 0.0], [0.0, 4.0]], "label": [-1, 0]},
            {"loss": 4 / 2},
            gradient=False,  # it is half the loss's: there are two samples
        ),
        Case(
            'type: "MTCNNEuclideanLoss" loss_param { ignore_label: 0 } loss_weight: 2',
            {"a": random(1, 2, 2), "b": random(1, 4), "label": [1]},
            tops=["loss"],
        ),
        Case('type: "MTCNNEuclideanLoss"', {"a": random(3, 4), "b": random(3, 2, 2)}),
    )

    def propagates(self, index: int) -> bool:
        return index < 2

    def setup(self, bottom: Shapes) -> None:
        self._ignores = self.loss_param.has("ignore_label")
        if self._ignores != (len(bottom) == 3):
            self.fail(
                f"has {len(bottom)} bottoms",
                "loss_param",
                expected="labels as a third bottom, and loss_param { ignore_label: 0 }, or neither",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        a = bottom[0]
        for i, shape in enumerate(bottom):
            wanted = math.prod(a) if i < 2 else math.prod(a[:1])
            if not shape or shape[0] != a[0] or math.prod(shape) != wanted:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}, but '
                    f'"{self.spec.bottom[0]}" is {show(a)}',
                    "bottom",
                    index=i,
                    expected="equally many samples, and values in each; one label a sample",
                )
        return [()]

    def prepare(self) -> None:
        self._n = max(1, self.bottom_shapes[0][0])

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b = bottom[0], bottom[1].reshape(bottom[0].shape)
        self._difference = a - b
        if self._ignores:
            self._difference[bottom[2].reshape(-1) == self.loss_param.ignore_label] = 0
        total = np.square(self._difference).sum() / 2
        top[0][()] = total if self._ignores else total / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        scale = top_diff[0] / self._n
        for dx, sign in zip(bottom_diff[:2], (1, -1)):
            if dx is not None:
                np.multiply(self._difference.reshape(dx.shape), sign * scale, dx)
