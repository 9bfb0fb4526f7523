"""CTCGreedyDecoder: the labels that a class at each step stands for."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.layers.ctc import best_path
from caffelite.layers.sequences import (
    edits,
    lengths_of,
    read_labels,
    refuse_beside,
    scores_of,
    up_to,
)
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "ctc_decoder_param"


class CTCDecoderParameter(LayerMessage, field=PARAM, number=1149):
    """Which class is the blank."""

    blank_index: int = field(
        1, "int32", doc="number of the blank; -1: the last class (with indicators: -1, else 0)"
    )
    ctc_merge_repeated: bool = field(
        2, "bool", default=True, doc="a class that lasts for some steps is one label?"
    )


@register
class CTCGreedyDecoder(Layer):
    """At each step the class with the highest score is taken; what repeats is one label (with
    `ctc_merge_repeated`), and blanks go. The score of a sequence is −Σ of the highest scores.

    Bottom 1, in most forks, marks where sequences end: sequence n goes on while its indicator is
    not 0, from the second step on. With bottom 2, labels that end at the first negative one, the
    last top is the accuracy: 1 less the mean of (labels to put in, leave out or replace) / (the
    longer sequence's count). The blank is the last class, unless `blank_index` says so.

    In a fork for licence plates there are no indicators, and the blank is class 0. There a bottom 1
    with N rows is labels, the blank where there is none, and the top is two numbers: that accuracy,
    and the share of sequences without any mistake.

    Gradient: none.
    Shapes: scores (T, N, C), indicators (T, N), labels (steps, N). Tops: labels (N, T, 1, 1), -1
    behind the last one; scores (N, 1, 1, 1), if named; accuracy (1, 1, 1, 1). In the fork for
    licence plates: labels (N, steps), accuracy (1, 2, 1, 1).
    Source: ChWick/caffe, branch ctc; zhubenfu's fork for licence plates; Graves et al. 2006.
    """

    bottoms = (1, 3)
    tops = (1, 3)
    backward_reads = ()
    extension = f"ChWick/caffe, there {PARAM} = 149; 158 in a fork for licence plates"
    param: CTCDecoderParameter = param_of(CTCDecoderParameter)
    cases = (
        Case(
            'type: "CTCGreedyDecoder"',
            # classes 0 0 blank 0 1, and of the second 1 and blank; the last three do not count
            {
                "x": [
                    [[0.5, 0.2, 0.3], [0.1, 0.9, 0.0]],
                    [[0.6, 0.2, 0.2], [0.1, 0.2, 0.7]],
                    [[0.2, 0.1, 0.7], [0.9, 0.1, 0.0]],
                    [[0.4, 0.3, 0.3], [0.9, 0.1, 0.0]],
                    [[0.1, 0.8, 0.1], [0.9, 0.1, 0.0]],
                ],
                "go": [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]],
                "label": [[0, 1], [1, 0], [-1, -1]],
            },
            {
                "y": np.array([[0, 0, 1, -1, -1], [1, -1, -1, -1, -1.0]]).reshape(2, 5, 1, 1),
                "score": np.array([-3.0, -1.6]).reshape(2, 1, 1, 1),
                # one of three and one of two are to be mended
                "accuracy": np.full((1, 1, 1, 1), 1 - (1 / 3 + 1 / 2) / 2),
            },
            phase=Phase.TEST,
        ),
        Case(
            f'type: "CTCGreedyDecoder" {PARAM} {{ ctc_merge_repeated: false }}',
            {"x": [[[0.0, 1.0]], [[0.0, 2.0]], [[1.0, 0.0]]]},
            {"y": np.array([1, 1, -1.0]).reshape(1, 3, 1, 1)},
            phase=Phase.TEST,
        ),
        Case(
            'type: "CTCGreedyDecoder"',
            # both read 1; the second should be 1 1
            {"x": [[[0.0, 1.0]] * 2] * 3, "label": [[1, 0], [1, 1]]},
            {"accuracy": np.array([0.75, 0.5]).reshape(1, 2, 1, 1)},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        steps, count, classes = self._scores = scores_of(self, bottom)
        by_step = f"{steps} x {count}, steps x sequences"
        self._rows = len(bottom) == 2 and bottom[1][:2] != (steps, count)
        if self._rows:
            if bottom[1][0] != count or len(self.spec.top) > 1:
                refuse_beside(self, 1, bottom[1], self._scores, by_step)
        elif len(bottom) > 1 and bottom[1][:2] != (steps, count):
            refuse_beside(self, 1, bottom[1], self._scores, by_step)
        if len(bottom) == 3 and (len(bottom[2]) < 2 or bottom[2][1] != count):
            said = f"labels x {count}, a column for each sequence"
            refuse_beside(self, 2, bottom[2], self._scores, said)
        last = len(bottom) > 1 and not self._rows
        index = self.param.blank_index if self.param.has("blank_index") else -1 if last else 0
        self._blank = classes - 1 if index < 0 else index
        if self._rows:
            return [(1, 2, 1, 1)]
        accuracy = len(bottom) == 3 and len(self.spec.top) > 1
        found: list[Shape] = [(count, steps, 1, 1), (count, 1, 1, 1)]
        return [*found[: len(self.spec.top) - accuracy], *[(1, 1, 1, 1)] * accuracy]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        scores = bottom[0].reshape(self._scores)
        steps, count, _ = self._scores
        ends = [steps] * count
        if len(bottom) > 1 and not self._rows:
            ends = lengths_of(bottom[1])
        classes = scores.argmax(2)
        merge = self.param.ctc_merge_repeated
        found = [best_path(classes[:n, i].tolist(), self._blank, merge) for i, n in enumerate(ends)]
        if self._rows:
            shares = self._mistakes(bottom[1].reshape(count, -1), 1, found)
            top[0].reshape(-1)[:] = 1 - shares.mean(), (shares == 0).mean()
            return
        top[0].fill(-1)
        for row, labels in zip(top[0], found):
            row.reshape(-1)[: len(labels)] = labels
        if len(top) > 1 + (len(bottom) == 3):
            best = scores.max(2)
            top[1].reshape(-1)[:] = [-best[:n, i].sum() for i, n in enumerate(ends)]
        if len(bottom) == 3 and len(top) > 1:
            shares = self._mistakes(bottom[2].reshape(len(bottom[2]), -1).T, 2, found)
            top[-1].reshape(-1)[:] = 1 - shares.mean()

    def _mistakes(self, rows: Array, index: int, found: list[list[int]]) -> Array:
        """Of each sequence, the share of labels to mend."""
        wanted = [up_to(row) for row in read_labels(self, index, rows, self._scores[2])]
        if self._rows:
            wanted = [[x for x in row if x != self._blank] for row in wanted]
        return np.array([edits(a, b) / max(len(a), len(b), 1) for a, b in zip(wanted, found)])

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: sequences that last."""
        if index == 0:
            return None
        return np.ones(shape) if index == 1 else rng.integers(0, self._scores[2], shape)
