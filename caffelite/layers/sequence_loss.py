"""What CTCLoss, WarpCTCLoss and CtcLoss share: the mean of −ln P over sequences of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of
from caffelite.layers.ctc import Lattice
from caffelite.layers.labels import UNWEIGHTED
from caffelite.layers.sequences import read_labels, refuse_beside, scores_of
from caffelite.schema.common import LossNormalization, LossParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "ctc_loss_param"


class CTCLossParameter(LayerMessage, field=PARAM, number=1159):
    """Which class is the blank; the numbers are ChWick's, from 1001 on those of xmfbit."""

    output_delay: int = field(
        1, "int32", default=0, least=0, doc="CTCLoss: so many first steps do not count"
    )
    blank_index: int = field(
        2, "int32", doc="number of the blank; -1: the last class (CTCLoss: -1, WarpCTCLoss: 0)"
    )
    preprocess_collapse_repeated: bool = field(
        3, "bool", default=False, doc="CTCLoss: labels that follow their like are left out first?"
    )
    ctc_merge_repeated: bool = field(
        4, "bool", default=True, doc="CTCLoss: a class that lasts for some steps is one label?"
    )
    loss_calculation_t: int = field(5, "int32", default=0, idle="every step gives the same loss")
    alphabet_size: int = field(1001, "uint32", default=0, doc="CtcLoss (there 1): classes; 0: all")
    time_step: int = field(
        1003, "uint32", default=0, doc="CtcLoss (there 3): steps that count; 0: all"
    )
    blank_label: int = field(
        1004, "int32", default=0, least=0, doc="CtcLoss (there 4): number of the blank"
    )


class SequenceLoss(LossLayer):
    """A loss of scores (T, N, C), steps x sequences x classes, and of each sequence's labels."""

    compares = False
    backward_reads = ()
    refuses: ClassVar[bool] = False
    """Is a sequence refused that has too few steps for its labels? Else it costs nothing."""
    shift: int = 0
    """How much a label is less than the number of its class."""
    param: CTCLossParameter = param_of(CTCLossParameter)
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = {
        "loss_param.ignore_label": "labels end where there are no more",
        "loss_param.pre_fixed_normalizer": "PRE_FIXED is not for sequences",
        **UNWEIGHTED,
    }

    def propagates(self, index: int) -> bool:
        return index == 0

    def blank(self, classes: int) -> int:
        """The number of the blank."""
        raise NotImplementedError

    def sequences(self, bottom: Arrays) -> tuple[list[list[int]], list[int]]:
        """Labels and length of each sequence."""
        raise NotImplementedError

    def setup(self, bottom: Shapes) -> None:
        if self.loss_param.has("normalization"):
            allowed = (LossNormalization.BATCH_SIZE, LossNormalization.NONE)
            if self.loss_param.normalization not in allowed:
                self.fail(
                    f"normalization {self.loss_param.normalization.name} is not for sequences",
                    "loss_param",
                    "normalization",
                    expected="BATCH_SIZE, the mean over the sequences, or NONE, their sum",
                )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._scores = _, count, classes = scores_of(self, bottom)
        self._blank = self.blank(classes)
        if not 0 <= self._blank < classes:
            self.fail(
                f"the blank is class {self._blank}, but there are {classes} classes",
                PARAM,
                expected=f"one from 0 to {classes - 1}",
            )
        whole = self.loss_param.normalization == LossNormalization.NONE
        self._n = 1 if whole else count
        return [()]

    def extent(self, index: int, shape: Shape, axis: int, extent: int, expected: str) -> None:
        """Refuse a bottom that has not this extent at this axis."""
        if axis >= len(shape) or shape[axis] != extent:
            refuse_beside(self, index, shape, self._scores, expected)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        delay = self.param.output_delay
        labels, lengths = self.sequences(bottom)
        self._lattice = Lattice(
            bottom[0].reshape(self._scores)[delay:],
            labels,
            [max(n - delay, 0) for n in lengths],
            self._blank,
            self.param.ctc_merge_repeated,
        )
        costs = self._lattice.costs()
        lost = np.flatnonzero(np.isposinf(costs))
        if lost.size and self.refuses:
            n = int(lost[0])
            self.fail(
                f"sequence {n} has {len(labels[n])} labels, for which its {lengths[n]} steps are "
                "too few",
                "bottom",
                index=len(bottom) - 1,
                expected="a step for each label, and one more between two that are alike",
            )
        costs[lost] = 0
        top[0][()] = costs.sum() / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            delay, steps = self.param.output_delay, dx.reshape(self._scores)
            steps[:delay] = 0
            np.multiply(self._lattice.gradients(), top_diff[0] / self._n, steps[delay:])

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: sequences that last, of one label or none."""
        steps, _, classes = self._scores
        if index == 0:
            return None
        if index < len(self.spec.bottom) - 1:
            if len(self.spec.bottom) == 4:
                return np.full(shape, steps if index == 1 else 1)
            marks = np.ones(shape)
            marks[0] = 0
            return marks
        by_time = len(self.spec.bottom) > 2
        labels = np.full(shape, -1 if by_time else self._blank)
        first = labels[0] if by_time else labels[:, 0]
        classes -= self.shift
        free = [c for c in range(classes) if c != self._blank or self.shift]
        first[...] = rng.choice(free, first.shape) if free else -1
        return labels

    def no_blanks(self, values: Array) -> list[list[int]]:
        """The labels of rows, whose places without a label hold the blank."""
        rows = read_labels(self, 1, values, self._scores[2])
        if rows.min(initial=0) < 0:
            self.fail(
                f'bottom "{self.spec.bottom[1]}": label {rows.min()} is below 0',
                "bottom",
                index=1,
                expected=f"classes from 0, and the blank, {self._blank}, where there is none",
            )
        return [row[row != self._blank].tolist() for row in rows]
