"""LabelsequenceAccuracy: how many sequences are read without a mistake."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.ctc import best_path
from caffelite.layers.sequences import read_labels
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "labelsequence_accuracy_param"


class LabelsequenceAccuracyParameter(LayerMessage, field=PARAM, number=1203):
    """Which class is the blank."""

    blank_label: int = field(1, "int32", default=0, least=0, doc="number of the blank")


@register
class LabelsequenceAccuracy(Layer):
    """a = (sequences whose labels are all right, and no more of them) / N. The labels read are
    those of the class with the highest score at each step, what repeats being one label and blanks
    left out; those expected are all that are not the blank.

    Gradient: none.
    Shapes: scores (N, T, C), labels (N, labels), a ().
    Source: xmfbit/warpctc-caffe.
    """

    bottoms = (2, 2)
    backward_reads = ()
    deployed = False
    higher_is_better = True
    extension = f"xmfbit/warpctc-caffe, there {PARAM} = 203"
    param: LabelsequenceAccuracyParameter = param_of(LabelsequenceAccuracyParameter)
    cases = (
        Case(
            f'type: "LabelsequenceAccuracy" {PARAM} {{ blank_label: 1 }}',
            # 0 0 blank reads 0, 0 blank 0 reads 0 0, 0 0 0 reads 0
            {
                "x": [
                    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
                    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]],
                    [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]],
                ],
                "label": [[0, 1], [0, 0], [0, 0]],
            },
            {"a": 2 / 3},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        scores, labels = bottom
        if len(scores) != 3 or not labels or labels[0] != scores[0]:
            self.fail(
                f'scores "{self.spec.bottom[0]}" are {show(scores)}, labels '
                f'"{self.spec.bottom[1]}" {show(labels)}',
                "bottom",
                index=len(scores) == 3,
                expected="sequences x steps x classes, and a row of labels for each sequence",
            )
        return [()]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        scores, blank = bottom[0], self.param.blank_label
        rows = read_labels(self, 1, bottom[1].reshape(len(scores), -1), scores.shape[2])
        right = 0
        for classes, row in zip(scores.argmax(2), rows):
            right += best_path(classes.tolist(), blank) == row[row != blank].tolist()
        top[0][()] = right / len(scores)

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: classes as labels."""
        return rng.integers(0, self.bottom_shapes[0][2], shape) if index else None
