"""Accuracy: how often the labelled class is among the best."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.layers.labels import LabelReader, scores_first
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class AccuracyParameter(LayerMessage, field="accuracy_param", number=102):
    """What counts as right."""

    top_k: int = field(1, "uint32", default=1, least=1, doc="right if among the best k classes")
    axis: int = field(2, "int32", default=1, doc="the axis of the classes")
    ignore_label: int = field(3, "int32", doc="samples with this label do not count")
    min_is_better: bool = field(
        4, "bool", default=False, doc="happynear: the scores are distances, the least the best"
    )


@register
class Accuracy(Layer):
    """a = (number of places whose label is among the `top_k` best classes) / (number of places).

    As in Caffe, a place is wrong if `top_k` other classes score at least as much as the labelled
    one: on a tie the labelled class loses. Places with `ignore_label` do not count; if none count,
    a is 0. A score that is not a number never makes a place right (in Caffe it may). With
    `min_is_better` scores are distances: the best are the least.

    Gradient: none.
    Shapes: scores (N, C, …), labels (N, …) with the class axis left out, a (); a second top, if
    named, is the accuracy of each class, (C,), 0 where a class has no samples.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/accuracy.html
    """

    labels_are_classes = True
    compares = True
    deployed = False
    bottoms = (2, 2)
    tops = (1, 2)
    backward_reads = ()
    higher_is_better = True
    param: AccuracyParameter = param_of(AccuracyParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "Accuracy"',
            {"x": [[0.1, 0.9], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]], "label": [1, 0, 0, 0]},
            {"accuracy": 0.75},
        ),
        Case(
            'type: "Accuracy" accuracy_param { top_k: 2 ignore_label: 3 }',
            # best two of row 0: classes 1, 0; of row 1: 2, 3; row 2 is ignored
            {
                "x": [[3.0, 4.0, 1.0, 0.0], [1.0, 0.0, 5.0, 4.0], [9.0, 0.0, 0.0, 1.0]],
                "label": [0, 0, 3],
            },
            {"accuracy": 0.5},
        ),
        Case(
            'type: "Accuracy"',
            # the tie of row 0 counts as wrong
            {"x": [[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 2.0, 3.0]], "label": [0, 1, 1]},
            {"accuracy": 1 / 3, "per_class": [0.0, 0.5, 0.0]},
        ),
        Case(
            'type: "Accuracy" accuracy_param { min_is_better: true }',
            {"x": [[0.1, 0.9], [0.6, 0.4], [0.5, 0.5]], "label": [0, 0, 1]},
            {"accuracy": 1 / 3},
        ),
        Case(
            'type: "Accuracy" accuracy_param { axis: -2 }',
            {"x": [[[1.0, 0.0, 2.0], [2.0, -1.0, 3.0]]], "label": [[1, 0, 0]]},
            {"accuracy": 2 / 3},
            note="scores 1 x 2 x 3: two classes at three places",
        ),
        Case(
            'type: "Accuracy" accuracy_param { ignore_label: 1 }',
            {"x": [[1.0, 0.0]], "label": [1]},
            {"accuracy": 0.0, "per_class": [0.0, 0.0]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        scores, labels = bottom
        scores_first(self, scores, labels, self.param.axis)
        axis = self.axis(self.param.axis, len(scores), "accuracy_param", "axis")
        ignore = self.param.ignore_label if self.param.has("ignore_label") else None
        self._labels = LabelReader(self, scores, axis, ignore, labels)
        classes = self._labels.classes
        if self.param.top_k > classes:
            self.fail(
                f"top_k is {self.param.top_k}, but there are {classes} classes",
                "accuracy_param",
                "top_k",
                expected=f"a number from 1 to {classes}",
            )
        return [(), (classes,)][: len(self.spec.top)]

    def prepare(self) -> None:
        reader = self._labels
        self._sizes = (reader.outer, reader.classes, reader.inner)
        self._below = np.empty(self._sizes, bool)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        scores, reader = bottom[0], self._labels
        outer, classes, inner = self._sizes
        labelled = scores.reshape(-1).take(reader.read(bottom[1])).reshape(outer, 1, inner)
        worse = np.greater if self.param.min_is_better else np.less
        worse(scores.reshape(self._sizes), labelled, self._below)
        # all others but those below; the labelled class is not below itself
        better = classes - 1 - np.count_nonzero(self._below, axis=1)
        right = (better < self.param.top_k).reshape(-1)
        labels = reader.labels
        if reader.valid is not None:
            right, labels = right[reader.valid], labels[reader.valid]
        top[0][()] = np.count_nonzero(right) / max(1, right.size)
        if len(top) > 1:
            total = np.bincount(labels, minlength=classes)
            np.divide(
                np.bincount(labels[right], minlength=classes),
                np.maximum(total, 1),
                out=top[1],
                casting="same_kind",
            )
