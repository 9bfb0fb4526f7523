"""ClassWeightedSoftmaxWithLoss: cross entropy in which some classes count more than others."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, register
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.softmax_loss import SoftmaxWithLoss

WEIGHTS = "weight_by_label_freqs: true class_weighting: 2 class_weighting: 0.5"


@register
class ClassWeightedSoftmaxWithLoss(SoftmaxWithLoss):
    """L = −(1/n) Σ_i w_i ln max(p_i, FLT_MIN): SoftmaxWithLoss with a weight w_i for the class of
    each label, its `class_weighting`. A layer of type "SoftmaxWithLoss" with
    `weight_by_label_freqs: true` is this one. n counts labels, whatever their weights.

    Gradient: ∂L/∂x_c = w·(p_c − [c is the label]) / n; 0 where the label is ignored.

    Shapes: scores (N, C, …), labels (N, …) with the class axis left out, loss (); a second top,
    if named, is the softmax.
    Source: SegNet's fork (alexgkendall/caffe-segnet), which weighs rare classes more; Eigen and
    Fergus 2015, median frequency balancing.
    """

    weighs_classes = True
    extension = 'SegNet\'s fork; type "SoftmaxWithLoss" there'
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            f'type: "ClassWeightedSoftmaxWithLoss" loss_param {{ {WEIGHTS} }}',
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0]], "label": [1, 0]},
            {"loss": (0.5 * math.log(4 / 3) + 2 * math.log(2)) / 2},
        ),
        Case(
            'type: "ClassWeightedSoftmaxWithLoss" loss_param { ignore_label: 9 normalize: true '
            f"{WEIGHTS} }}",
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0]], "label": [1, 9]},
            {"loss": 0.5 * math.log(4 / 3), "p": [[0.25, 0.75], [0.5, 0.5]]},
        ),
        Case(
            'type: "ClassWeightedSoftmaxWithLoss" loss_weight: 2 loss_param { '
            f"ignore_label: 1 {WEIGHTS} class_weighting: 3 }}",
            {"x": random(2, 3, 3, 2), "label": labels(2, 3, 2, classes=3)},
            tops=["loss"],
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        tops = super().reshape(bottom)
        found, classes = len(self.loss_param.class_weighting), self._labels.classes
        if found != classes or not self.loss_param.weight_by_label_freqs:
            self.fail(
                f"{found} class_weighting for {classes} classes"
                if found != classes
                else "weight_by_label_freqs is not set",
                "loss_param",
                "class_weighting",
                expected="weight_by_label_freqs: true, and a class_weighting for each class",
            )
        return tops

    def prepare(self) -> None:
        super().prepare()
        self._weights = np.array(self.loss_param.class_weighting, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, top)
        # its logarithms are those that count, 0 where a label is ignored
        share = np.multiply(self._share, self._weights[self._labels.labels])
        np.dot(self._picked, share, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, bottom_diff)
        dx = bottom_diff[0]
        if dx is not None:
            outer, _, inner = self._sizes
            places = dx.reshape(self._sizes)
            weights = self._weights[self._labels.labels].reshape(outer, 1, inner)
            np.multiply(places, weights, places)
