"""SoftmaxWithLossOHEM: SoftmaxWithLoss that also gives the loss of each sample."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Shapes, register
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.softmax_loss import SoftmaxWithLoss


@register
class SoftmaxWithLossOHEM(SoftmaxWithLoss):
    """As SoftmaxWithLoss; a third top, if named, is −ln p of each sample's label, 0 where the label
    is ignored. It passes no gradient on: hard examples are chosen by it (BoxAnnotatorOHEM).

    Gradient and shapes: as SoftmaxWithLoss; the third top is like the scores with one value along
    the class axis, so that it goes with SmoothL1LossOHEM's second top. The fork gives it the
    labels' shape, which there is the same: R-FCN's labels are (N, 1, 1, 1).
    Source: Shrivastava, Gupta and Girshick 2016, OHEM; Dai et al. 2016, R-FCN.
    """

    tops = (0, 3)
    extension = "R-FCN fork (daijifeng001/caffe-rfcn, Intel's Caffe)"
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "SoftmaxWithLossOHEM" loss_param { ignore_label: -1 normalization: PRE_FIXED '
            "pre_fixed_normalizer: 4 }",
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0], [7.0, 7.0]], "label": [1, 0, -1]},
            {
                "loss": (math.log(4 / 3) + math.log(2)) / 4,
                "p": [[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]],
                "each": [[math.log(4 / 3)], [math.log(2)], [0.0]],
            },
            gradient=False,  # the third top passes none
        ),
        Case(
            'type: "SoftmaxWithLossOHEM" loss_weight: 2',
            {"x": random(2, 4, 3, 2), "label": labels(2, 1, 3, 2, classes=4)},
            tops=["loss"],
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        loss, *rest = super().reshape(bottom)
        scores, axis = bottom[0], self._axis
        each = (*scores[:axis], 1, *scores[axis + 1 :])
        return [loss, *rest[:1], each][: max(1, len(self.spec.top))]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, top[:2])
        if len(top) > 2:
            each = top[2].reshape(-1)
            np.take(self._flat, self._index, out=each)
            np.negative(np.log(np.maximum(each, self._floor)), each)
            if self._labels.valid is not None:
                np.multiply(each, self._labels.valid.reshape(-1), each)
