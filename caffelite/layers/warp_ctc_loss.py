"""WarpCTCLoss and CtcLoss: CTCLoss as the forks with warp-ctc have it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.sequence_loss import PARAM, SequenceLoss
from caffelite.layers.sequences import lengths_of, read_labels, up_to

_COLLAPSE = {f"{PARAM}.preprocess_collapse_repeated": "CTCLoss reads it"}


@register
class WarpCTCLoss(SequenceLoss):
    """L = −(1/N) Σ_n ln P_n, as CTCLoss; the blank is class 0, unless `blank_index` says so.

    With two bottoms all sequences last T steps, and labels are all that are not the blank. With
    three, bottom 1 is CTCLoss's indicators, and labels end at the first negative one; where the
    blank is class 0 they are counted from 0, and their classes from 1. With four, bottom 1 is the
    number of steps of each sequence and bottom 2 the number of its labels. A sequence that has too
    few steps for its labels counts 0, as in warp-ctc.

    Gradient: as CTCLoss. (The forks do not divide it by N.)
    Shapes: scores (T, N, C), loss (); labels (N, labels) of two bottoms, else (labels, N);
    indicators (T, N); numbers (N,).
    Source: Graves et al. 2006; baidu-research/warp-ctc, as in zhubenfu's fork for licence plates.
    """

    bottoms = (2, 4)
    idle: ClassVar[Mapping[str, str]] = {**SequenceLoss.idle, **_COLLAPSE}
    extension = f"forks with warp-ctc, there {PARAM} = 159"
    cases = (
        Case(
            'type: "WarpCTCLoss"',
            # p = (3/4, 1/4), blank 0: as CTCLoss's first; the second has too few steps
            {"x": [[[math.log(3), 0.0]] * 2] * 2, "label": [[0, 1], [1, 1]]},
            {"loss": -math.log(7 / 16) / 2},
        ),
        Case(
            'type: "WarpCTCLoss"',
            {
                "x": random(4, 2, 3),
                "go": [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]],
                "label": [[0, 1], [1, 1], [-1, -1]],
            },
            tops=["loss"],
        ),
        Case(
            f'type: "WarpCTCLoss" loss_weight: 3 {PARAM} {{ blank_index: 2 }}',
            {
                "x": random(4, 2, 3),
                "steps": [4, 3],
                "count": [2, 1],
                "label": [[0, 1], [1, 1]],
            },
            tops=["loss"],
        ),
    )

    def blank(self, classes: int) -> int:
        index: int = self.param.blank_index
        return classes - 1 if index < 0 else index

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shapes = super().reshape(bottom)
        steps, count, _ = self._scores
        self.shift = int(len(bottom) == 3 and self._blank == 0)
        if len(bottom) == 2:
            self.extent(1, bottom[1], 0, count, f"{count} x labels, a row for each sequence")
            return shapes
        self.extent(
            len(bottom) - 1, bottom[-1], 1, count, f"labels x {count}, a column for each sequence"
        )
        if len(bottom) == 3:
            self.extent(1, bottom[1], 0, steps, f"{steps} x {count}, steps x sequences")
            self.extent(1, bottom[1], 1, count, f"{steps} x {count}, steps x sequences")
        else:
            for i in (1, 2):
                self.extent(i, (math.prod(bottom[i]),), 0, count, f"{count}, one for each sequence")
        return shapes

    def sequences(self, bottom: Arrays) -> tuple[list[list[int]], list[int]]:
        steps, count, classes = self._scores
        last = len(bottom) - 1
        values = bottom[last].reshape(bottom[last].shape[0], -1)
        if last == 1:
            return self.no_blanks(values), [steps] * count
        columns = read_labels(self, last, values, classes - self.shift).T
        if last == 2:
            labels = [[x + self.shift for x in up_to(column)] for column in columns]
            return labels, lengths_of(bottom[1])
        taken, counts = (self._counts(bottom[i], i, m) for i, m in ((1, steps), (2, len(values))))
        return [column[:n].tolist() for column, n in zip(columns, counts)], taken

    def _counts(self, values: Array, index: int, most: int) -> list[int]:
        """The numbers of steps or labels, of which there are `most`."""
        numbers: list[float] = values.reshape(-1).tolist()
        for n in numbers:
            if not (0 <= n <= most and n == int(n)):
                self.fail(
                    f'bottom "{self.spec.bottom[index]}" says {n:g}',
                    "bottom",
                    index=index,
                    expected=f"whole numbers from 0 to {most}",
                )
        return [int(n) for n in numbers]


@register
class CtcLoss(SequenceLoss):
    """L = −(1/N) Σ_n ln P_n, as CTCLoss; the blank is class `blank_label`. All sequences last
    `time_step` steps, and their labels are all that are not the blank. A sequence that has too few
    steps for its labels counts 0, as in warp-ctc.

    Gradient: as CTCLoss. (The fork does not divide it by N.)
    Shapes: scores (T, N, C), labels (N, labels), loss ().
    Source: Graves et al. 2006; xmfbit/warpctc-caffe.
    """

    idle: ClassVar[Mapping[str, str]] = {**SequenceLoss.idle, **_COLLAPSE}
    extension = f"xmfbit/warpctc-caffe, there {PARAM} = 200"
    cases = (
        Case(
            f'type: "CtcLoss" {PARAM} {{ alphabet_size: 2 time_step: 2 blank_label: 1 }}',
            {"x": [[[0.0, math.log(3)]]] * 3, "label": [[1, 0]]},
            {"loss": -math.log(7 / 16)},
        ),
        Case(
            f'type: "CtcLoss" {PARAM} {{ alphabet_size: 4 time_step: 5 }}',
            {"x": random(5, 3, 4), "label": [[1, 1, 2], [0, 3, 0], [0, 0, 0]]},
            tops=["loss"],
        ),
    )

    def blank(self, classes: int) -> int:
        return int(self.param.blank_label)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shapes = super().reshape(bottom)
        steps, count, classes = self._scores
        self.extent(1, bottom[1], 0, count, f"{count} x labels, a row for each sequence")
        for name, most in (("alphabet_size", classes), ("time_step", steps)):
            said = self.param.get(name)
            if said > most or (name == "alphabet_size" and said not in (0, most)):
                self.fail(
                    f'{name} is {said}, but scores "{self.spec.bottom[0]}" are '
                    f"{show(self._scores)}",
                    PARAM,
                    name,
                    expected=f"{most}",
                )
        return shapes

    def sequences(self, bottom: Arrays) -> tuple[list[list[int]], list[int]]:
        steps, count, _ = self._scores
        labels = self.no_blanks(bottom[1].reshape(count, -1))
        return labels, [self.param.time_step or steps] * count
