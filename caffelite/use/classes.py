"""How well a net tells classes apart: confusion, precision, recall, the worst mistakes.

judged = Judged.of(net)
for _ in range(batches):
    net.forward()
    judged.add_batch()
print(judged.result().accuracy)
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from caffelite.blob import Array
from caffelite.layers.source import SourceLayer
from caffelite.net import Net
from caffelite.plan.graph import Node, Version
from caffelite.schema.message import Message
from caffelite.use.scores import find_score


@dataclass(frozen=True)
class Mistake:
    """A sample that the net gets wrong."""

    sample: str
    label: int
    said: int
    share: float
    """Of the right class: what the net thought it worth, from 0 to 1."""
    said_share: float
    picture: Array | None = None
    """The sample as the net got it, where it is an image."""


@dataclass(frozen=True)
class Classes:
    """What a test found. `confusion[i, j]` samples of class i were taken for class j."""

    confusion: Array
    names: Sequence[str]
    worst: tuple[Mistake, ...] = ()
    ignored: int = 0
    """Labels that were none of the classes."""

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share of samples that are right; NaN without samples."""
        return self.right / self.count if self.count else float("nan")

    @property
    def samples(self) -> Array:
        """How many there are of each class."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def recall(self) -> Array:
        """Of each class's samples the share that was found; NaN where there are none."""
        return _share(np.diag(self.confusion), self.samples)

    @property
    def precision(self) -> Array:
        """Of what was taken for each class the share that is; NaN where nothing was."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def f1(self) -> Array:
        """The harmonic mean of precision and recall; NaN where there is neither."""
        return _share(2 * np.diag(self.confusion), self.samples + self.confusion.sum(axis=0))

    def name(self, index: int) -> str:
        """A class's name, or its number."""
        return self.names[index] if index < len(self.names) else str(index)

    def pairs(self, count: int) -> list[tuple[int, int, int]]:
        """What was confused most often: label, what was said, how often."""
        off = self.confusion.copy()
        np.fill_diagonal(off, 0)
        order = np.argsort(-off, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(order, off.shape)
        found = [(int(i), int(j), int(off[i, j])) for i, j in zip(rows, columns)]
        return [pair for pair in found if pair[2]]


def _share(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole, np.float64)


@dataclass
class Judged:
    """Counts what a classifier does, batch by batch. Each sample counts once: where the data know
    their number, what fills up the last batch is left out."""

    net: Net
    score: Version
    label: Version
    probabilities: bool
    """Are the scores probabilities already?"""
    ignore: int | None
    worst: int
    """How many mistakes to keep."""
    pictures: bool
    confusion: Array = field(init=False)
    ignored: int = 0
    _seen: int = 0
    _heap: list[tuple[float, int, Mistake]] = field(default_factory=list)

    def __post_init__(self) -> None:
        classes = self.net.plan.shapes[self.score][1]
        self.confusion = np.zeros((classes, classes), np.int64)
        layer = self.net.layers[self.label.maker.index]
        self._source = layer if isinstance(layer, SourceLayer) else None
        self._order = self._source.order() if self._source is not None else None

    @classmethod
    def of(cls, net: Net, worst: int = 5, pictures: bool = False) -> Judged | None:
        """For a net that holds scores of two or more classes against labels; None for others."""
        judge, score = find_score(net.plan.graph)
        shapes = net.plan.shapes
        if judge is None or judge.cls.learns_labels or score is not judge.bottoms[0]:
            return None
        label = judge.bottoms[1]
        shape = shapes[score]
        places = (shape[0], *shape[2:]) if len(shape) > 1 else ()
        if len(shape) < 2 or shape[1] < 2 or np.prod(shapes[label]) != np.prod(places):
            return None
        gives = score.maker.cls.gives_probability
        return cls(net, score, label, gives, _ignored_label(judge), worst, pictures)

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, if the data know them."""
        return self._source.class_names if self._source is not None else []

    def add_batch(self) -> None:
        """Count the batch that has just been run."""
        look = self.net.executor.look_at
        scores = np.moveaxis(look(self.score), 1, -1)
        labels = look(self.label).reshape(scores.shape[:-1]).astype(np.int64)
        rows = self._rows(len(scores))
        scores, labels = scores[:rows], labels[:rows]
        said = scores.argmax(axis=-1)
        counts = (labels >= 0) & (labels < len(self.confusion))
        if self.ignore is not None:
            counts &= labels != self.ignore
        self.ignored += int((~counts).sum())
        np.add.at(self.confusion, (labels[counts], said[counts]), 1)
        indices = self._order.take(len(look(self.score))) if self._order is not None else None
        if scores.ndim == 2:
            self._note_mistakes(scores, labels, said, counts & (labels != said), indices)
        self._seen += len(look(self.score))

    def _rows(self, batch: int) -> int:
        size = self._source.epoch_size if self._source is not None else None
        return batch if size is None else max(0, min(batch, size - self._seen))

    def _note_mistakes(
        self, scores: Array, labels: Array, said: Array, wrong: Array, indices: Array | None
    ) -> None:
        shares = scores if self.probabilities else _softmax(scores)
        for row in np.flatnonzero(wrong):
            share = float(shares[row, labels[row]])
            number = self._seen + int(row)
            if self.worst and (len(self._heap) < self.worst or -share > self._heap[0][0]):
                mistake = Mistake(
                    self._name(number, None if indices is None else int(indices[row])),
                    int(labels[row]),
                    int(said[row]),
                    share,
                    float(shares[row, said[row]]),
                    self._picture(int(row)) if self.pictures else None,
                )
                heapq.heappush(self._heap, (-share, -number, mistake))
                if len(self._heap) > self.worst:
                    heapq.heappop(self._heap)

    def _name(self, number: int, index: int | None) -> str:
        if self._source is None or index is None:
            return f"sample {number}"
        return self._source.sample_name(index)

    def _picture(self, row: int) -> Array | None:
        data = self.label.maker.tops[0]
        shape = self.net.plan.shapes[data]
        if data is self.label or len(shape) != 4 or shape[1] not in (1, 3):
            return None
        return np.array(self.net.executor.look_at(data)[row])

    def result(self, names: Sequence[str] = ()) -> Classes:
        """What has been found so far; `names` of the classes in the place of the data's own."""
        worst = tuple(m for _, _, m in sorted(self._heap, key=lambda x: (-x[0], -x[1])))
        return Classes(self.confusion.copy(), names or self.class_names, worst, self.ignored)


def _softmax(scores: Array) -> Array:
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _ignored_label(judge: Node) -> int | None:
    for _, message in judge.spec.set_fields():
        if isinstance(message, Message) and message.has("ignore_label"):
            return int(message.get("ignore_label"))
    return None
