"""SegAccuracy: how good a map of classes is."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class AccuracyMetric(IntEnum):
    """What was once to be shown."""

    PixelAccuracy = 0
    ClassAccuracy = 1
    PixelIOU = 2


class SegAccuracyParameter(LayerMessage, field="seg_accuracy_param", number=1173):
    """Which places count."""

    metric: AccuracyMetric = field(
        1, AccuracyMetric, default=AccuracyMetric.PixelAccuracy, idle="all three are shown"
    )
    ignore_label: list[int] = repeated(2, "int32", doc="places with these labels do not count")
    reset: bool = field(3, "bool", default=True, doc="begin anew with each batch?")


@register
class SegAccuracy(Layer):
    """Three numbers. The share of the places whose best class is the labelled one; the mean of that
    share over the classes that have places; the mean over all classes of the places that are both,
    over those that are either, 1 where there are none of these.

    Of classes with equal scores the last is the best, as in the fork. Without `reset` the counts go
    on from batch to batch. If no place counts, the first two are 0.

    Gradient: none.
    Shapes: scores (N, C, H, W), labels (N, 1, H, W) or (N, H, W), top (1, 1, 1, 3).
    Source: the forks of Caffe of DeepLab (Chen et al. 2015) and PSPNet (Zhao et al. 2017).
    """

    labels_are_classes = True
    compares = True
    deployed = False
    bottoms = (2, 2)
    backward_reads = ()
    higher_is_better = True
    extension = "PSPNet fork (hszhao/PSPNet), there seg_accuracy_param = 144"
    param: SegAccuracyParameter = param_of(SegAccuracyParameter)
    cases = (
        Case(
            'type: "SegAccuracy" seg_accuracy_param { ignore_label: 255 }',
            # classes found 0, 1, 1, 0 of 0, 0, 1, not counted; no place of class 2
            {
                "x": np.array([[[3, 0], [0, 1]], [[0, 2], [5, 1]], [[0, 0], [0, 0]]], np.float64)[
                    None
                ],
                "label": [[[[0, 0], [1, 255]]]],
            },
            {"y": [[[[2 / 3, (1 / 2 + 1) / 2, (1 / 2 + 1 / 2 + 1) / 3]]]]},
        ),
        Case(
            'type: "SegAccuracy" seg_accuracy_param { ignore_label: 0 ignore_label: 1 }',
            {"x": np.zeros((1, 2, 1, 2)), "label": [[[0, 1]]]},
            {"y": [[[[0.0, 0.0, 1.0]]]]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        self.repeatable = self.param.reset

    def reshape(self, bottom: Shapes) -> list[Shape]:
        scores, labels = bottom
        if len(scores) != 4:
            self.fail(
                f'scores "{self.spec.bottom[0]}" are {show(scores)}',
                "bottom",
                expected="N x C x H x W",
            )
        places = (scores[0], *scores[2:])
        if labels not in (places, (places[0], 1, *places[1:])):
            self.fail(
                f'labels "{self.spec.bottom[1]}" are {show(labels)}, but scores '
                f'"{self.spec.bottom[0]}" are {show(scores)}',
                "bottom",
                index=1,
                expected=f"{show((places[0], 1, *places[1:]))}, one for each place",
            )
        self._classes = scores[1]
        return [(1, 1, 1, 3)]

    def open(self) -> None:
        self._counts = np.zeros((self._classes, self._classes), np.int64)

    def state(self) -> dict[str, Any]:
        return {} if self.param.reset else {"counts": self._counts.ravel().tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        if state and not self.param.reset:
            self._counts = np.array(state["counts"], np.int64).reshape(self._counts.shape)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        scores, labels = bottom[0], bottom[1].reshape(-1)
        counts = ~np.isin(labels, self.param.ignore_label)
        known = labels[counts]
        wrong = (known < 0) | (known >= self._classes) | (known != np.trunc(known))
        if wrong.any():
            self.fail(
                f'labels "{self.spec.bottom[1]}": {known[wrong][0]:g} is no class',
                "bottom",
                index=1,
                expected=f"0 to {self._classes - 1}, or an ignore_label",
            )
        if self.param.reset:
            self._counts.fill(0)
        # the last of equal ones
        found = (self._classes - 1 - scores[:, ::-1].argmax(1)).reshape(-1)[counts]
        np.add.at(self._counts, (known.astype(np.int64), found), 1)
        both, true, named = self._counts.diagonal(), self._counts.sum(1), self._counts.sum(0)
        either = true + named - both
        there = true > 0
        top[0][...] = (
            both.sum() / max(int(true.sum()), 1),
            (both[there] / true[there]).mean() if there.any() else 0,
            np.where(either > 0, both / np.maximum(either, 1), 1).mean(),
        )
