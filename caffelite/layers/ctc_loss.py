"""CTCLoss: labels in their order are learned, without saying at which step each is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Shapes, register
from caffelite.layers.cases import Case, random
from caffelite.layers.sequence_loss import PARAM, SequenceLoss
from caffelite.layers.sequences import lengths_of, read_labels, up_to


@register
class CTCLoss(SequenceLoss):
    """L = −(1/N) Σ_n ln P_n, P_n being the probability of sequence n's labels: the sum, over all
    ways to write a class at each step that read as the labels once what repeats is one and blanks
    are gone, of the product of the classes' softmax probabilities.

    Bottom 1 marks where sequences end: sequence n goes on while its indicator is not 0, from the
    second step on. Its labels end at the first that is negative or the blank; a sequence of one
    step without a label counts nothing. The blank is the last class, unless `blank_index` says so.

    Gradient: ∂L/∂x_c = (p_c − share of P that takes class c at that step)/N. (The forks do not
    divide by N here, nor do they heed the loss weight: with `loss_param { normalization: NONE }`
    both loss and gradient are those of the sum.)
    Shapes: scores (T, N, C), indicators (T, N), labels (steps, N), loss (). A sequence that has
    too few steps for its labels is refused.
    Source: Graves et al. 2006, "Connectionist temporal classification"; ChWick/caffe, branch ctc.
    """

    bottoms = (3, 3)
    refuses = True
    idle: ClassVar[Mapping[str, str]] = {**SequenceLoss.idle} | dict.fromkeys(
        (f"{PARAM}.{name}" for name in ("alphabet_size", "time_step", "blank_label")),
        "CtcLoss reads it",
    )
    extension = f"ChWick/caffe, there {PARAM} = 148"
    cases = (
        Case(
            'type: "CTCLoss"',
            # of two steps of p = (1/4, 3/4), blank 1: 0 0, 0 b, b 0
            {"x": [[[0.0, math.log(3)]]] * 2, "go": [[1.0], [1.0]], "label": [[0], [-1]]},
            {"loss": -math.log(1 / 16 + 2 * 3 / 16)},
        ),
        Case(
            f'type: "CTCLoss" {PARAM} {{ blank_index: 0 ctc_merge_repeated: false }}',
            # where no class lasts, two steps of the first column read 1 1; the second has one step
            {
                "x": [[[0.0, math.log(3)]] * 2] * 2,
                "go": [[1.0, 1.0], [1.0, 0.0]],
                "label": [[1, 1], [1, -1]],
            },
            {"loss": -(2 * math.log(3 / 4) + math.log(3 / 4)) / 2},
        ),
        Case(
            f'type: "CTCLoss" loss_weight: 2 {PARAM} {{ output_delay: 1 '
            "preprocess_collapse_repeated: true }",
            {
                "x": random(5, 2, 4),
                "go": [[1.0, 1.0]] * 4 + [[1.0, 0.0]],
                "label": [[2, 0], [2, 1], [1, -1], [1, -1], [-1, -1]],
            },
            tops=["loss"],
        ),
        Case(
            'type: "CTCLoss" loss_param { normalization: NONE }',
            # the second is a place that is not filled: one step, no label
            {"x": random(4, 2, 3), "go": [[1.0, 1.0], [1.0, 0.0]] * 2, "label": [[1, -1], [0, -1]]},
            tops=["loss"],
        ),
    )

    def blank(self, classes: int) -> int:
        index = self.param.blank_index if self.param.has("blank_index") else -1
        return classes - 1 if index < 0 else index

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shapes = super().reshape(bottom)
        steps, count, _ = self._scores
        said = f"{steps} x {count}, steps x sequences"
        self.extent(1, bottom[1], 0, steps, said)
        self.extent(1, bottom[1], 1, count, said)
        self.extent(2, bottom[2], 1, count, f"labels x {count}, a column for each sequence")
        return shapes

    def sequences(self, bottom: Arrays) -> tuple[list[list[int]], list[int]]:
        lengths = lengths_of(bottom[1])
        columns = read_labels(self, 2, bottom[2].reshape(bottom[2].shape[:2]), self._scores[2]).T
        labels = [up_to(column, self._blank) for column in columns]
        if self.param.preprocess_collapse_repeated:
            labels = [[x for i, x in enumerate(r) if not i or x != r[i - 1]] for r in labels]
        # a sequence of one step without labels is a place that is not filled
        return labels, [0 if n == 1 and not r else n for n, r in zip(lengths, labels)]
