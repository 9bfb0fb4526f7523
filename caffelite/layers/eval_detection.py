"""EvalDetection: which boxes of a YOLO map are right."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.cell_loss import ROWS, ReadsCells, overlap
from caffelite.layers.detection_output import SaveOutputParameter
from caffelite.layers.finding import thinned
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage, LayerParameter

PARAM = "eval_detection_param"
LEAST = 0.005
"""Boxes of YOLO v2 with a lower score are not looked at."""


class ScoreType(IntEnum):
    """What a box's score is."""

    OBJ = 0
    PROB = 1
    MULTIPLY = 2


class EvalDetectionParameter(LayerMessage, field=PARAM, number=301):
    """How boxes are read from the map, and when one is right."""

    side: int = field(1, "uint32", default=7, least=1, doc="cells S along each side")
    num_class: int = field(2, "uint32", default=20, least=1, doc="number of classes C")
    num_object: int = field(3, "uint32", default=2, least=1, doc="boxes B of a cell")
    threshold: float = field(4, "float", default=0.5, doc="overlap from which a box is right")
    sqrt: bool = field(5, "bool", default=True, doc="v1: does the map hold roots of sizes?")
    constriant: bool = field(6, "bool", default=True, doc="v1: are centres counted from the cell?")
    score_type: ScoreType = field(
        7, ScoreType, default=ScoreType.MULTIPLY, doc="OBJ: o; PROB: p; MULTIPLY: their product"
    )
    nms: float = field(8, "float", default=-1.0, doc="overlap from which boxes are one; -1: none")
    biases: list[float] = repeated(
        9, "float", above=0, doc="v2: width, height of each anchor in cells; none: a map of v1"
    )
    save_output_param: SaveOutputParameter = field(
        10, SaveOutputParameter, doc="with it all classes of a box count; no file is written"
    )


class Boxes(NamedTuple):
    """Boxes of one image: classes (R,), scores (R,), centres and sizes (R, 4)."""

    kinds: Array
    scores: Array
    places: Array

    def take(self, which: Any) -> Boxes:
        return Boxes(self.kinds[which], self.scores[which], self.places[which])

    def best_first(self) -> Boxes:
        return self.take(np.argsort(-self.scores, kind="stable"))

    def thinned(self, threshold: float, within: bool) -> Boxes:
        """Best first, each that overlaps a better one (`within` its class) by the threshold left
        out."""
        best = self.best_first()

        def apart(box: int, others: Array) -> Array:
            stay: Array = overlap(best.places[others], best.places[box]) < threshold
            return stay | (best.kinds[others] != best.kinds[box]) if within else stay

        return best.take(thinned(len(best.scores), apart))


class Truths(NamedTuple):
    """True boxes of one image: classes, centres and sizes, and which are difficult."""

    kinds: Array
    places: Array
    difficult: Array


@register
class EvalDetection(ReadsCells, Layer):
    """For each image the number of true boxes of each class (C values), then four values for each
    box found, by class and score: class from 0, score, is it right, is it wrong; zeros behind the
    last.

    With `biases` the map is YOLO v2's, and boxes, o and p are those of YoloDetectionOutput; a box
    is of its best class. Best first, one that overlaps a better one by `nms` or more is left out,
    and so is a score below 0.005. With `save_output_param`, as choasup's later code has it, a box
    is there for each class with p·o above 0.005, and is left out for better ones of its class
    alone; if they are too many the best S·S·B are kept.

    Without `biases` it is v1's: planes of p (C of them), of o (B), and of centre x, y, width and
    height (B times). Without `nms` no box is left out.

    A box belongs to the true box of its class that it overlaps most. It is right if that is
    `threshold` or more and no better one has been right for it, and then it is wrong. One that
    overlaps less is wrong in v1; in v2 it is wrong only where its class has no true box, and else
    counts as neither. With labels of v1 difficult boxes are not counted, nor what belongs to them.

    Gradient: none.
    Shapes: v2: map (N, B·(5 + C), S, S); labels N rows of fives (class from 0, centre, size; zeros
    behind the last) or (1, 1, R, 8) as AnnotatedData gives them. v1: map N·(C + 5·B)·S·S values;
    labels N·7·S·S, planes of difficult, is there one, class from 0, then centre and size of each
    cell. A third bottom is not looked at. Top (N, C + 4·S·S·B).
    Source: Redmon et al. 2016; yeahkun/caffe-yolo; choasup/caffe-yolo9000.
    """

    bottoms = (2, 3)
    backward_reads = ()
    deployed = False
    extension = (
        f"YOLO forks: choasup/caffe-yolo9000, intel/caffe; yeahkun/caffe-yolo, there {PARAM} = 201"
    )
    param: EvalDetectionParameter = param_of(EvalDetectionParameter)
    cases = (
        Case(
            f'type: "EvalDetection" {PARAM} {{ side: 1 num_class: 2 num_object: 2 nms: 0.5 '
            "biases: 1 biases: 1 biases: 0.5 biases: 0.5 }",
            # one cell: boxes of 1 x 1 and 1/2 x 1/2 about its middle, which share 1/4; o is 3/4
            # and 1/2; p is (1/4, 3/4) and (4/5, 1/5); the true box is the second and of class 0
            {
                "map": np.array(
                    [
                        [0, 0, 0, 0, math.log(3), 0, math.log(3)],
                        [0, 0, 0, 0, 0, math.log(4), 0],
                    ]
                ).reshape(1, 14, 1, 1),
                "label": [[0, 0.5, 0.5, 0.5, 0.5]],
            },
            {"y": [[1.0, 0, 0, 0.4, 1, 0, 1, 0.5625, 0, 1]]},
        ),
        Case(
            f'type: "EvalDetection" {PARAM} {{ side: 1 num_class: 1 num_object: 1 nms: 0.5 '
            "score_type: OBJ biases: 1 biases: 1 }",
            # the box of the second image shares 1/4 with it: neither right nor wrong
            {
                "map": np.zeros((2, 6, 1, 1)),
                "label": [[[[0, 1, 0, 0.0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0.5, 0.5, 0]]]],
            },
            {"y": [[1.0, 0, 0.5, 1, 0], [1, 0, 0.5, 0, 0]]},
        ),
        Case(
            f'type: "EvalDetection" {PARAM} {{ side: 2 num_class: 1 num_object: 1 }}',
            # cells of 1/2; p = 1/2 all over; o and the places differ: two true boxes, one of them
            # difficult, found both, the first twice
            {
                "map": np.array(
                    [
                        [0.5, 0.5, 0.5, 0.5],
                        [0.5, 1, 0.25, 0.75],
                        [0.5, -0.5, 0, 0.5],
                        [0.5, 0.5, 0, 0.5],
                        [0.5**0.5] * 4,
                        [0.5**0.5] * 4,
                    ]
                ).reshape(1, 6, 2, 2),
                "label": [
                    [
                        *(0, 0, 0, 1),
                        *(1, 0, 0, 1),
                        *(0, -1, -1, 0),
                        *(0.25, 0.25, 0.5, 0.5),
                        *([0] * 8),
                        *(0.75, 0.75, 0.5, 0.5),
                    ]
                ],
            },
            {"y": [[1.0, 0, 0.5, 1, 0, 0, 0.375, 0, 0, 0, 0.25, 0, 1, 0, 0.125, 0, 1]]},
        ),
    )

    @classmethod
    def label_size(cls, spec: LayerParameter) -> int:
        p = spec.get(PARAM)
        return ROWS * 5 if p.biases else int(7 * p.side**2)

    @classmethod
    def image_size(cls, spec: LayerParameter) -> tuple[int, int] | None:
        p = spec.get(PARAM)
        side = int((32 if p.biases else 64) * p.side)
        return side, side

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.biases and len(p.biases) != 2 * p.num_object:
            self.fail(
                f"{len(p.biases)} biases for {p.num_object} anchors",
                PARAM,
                "biases",
                expected=f"{2 * p.num_object}, width and height of each",
            )
        if p.biases and p.nms < 0:
            self.fail(
                f"nms is {p.nms:g}",
                PARAM,
                "nms",
                expected="0 or more; with less the forks find nothing",
            )
        self._anchors = np.array(p.biases, self.dtype).reshape(-1, 2)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, (maps, labels) = self.param, bottom[:2]
        cells, images = p.side**2, maps[0] if maps else 0
        if p.biases:
            wanted: Shape = (images, p.num_object * (5 + p.num_class), p.side, p.side)
            fits = maps == wanted
        else:
            wanted = (images, p.num_class + 5 * p.num_object, p.side, p.side)
            fits = bool(maps) and math.prod(maps[1:]) == math.prod(wanted[1:])
        if not fits:
            said = f'bottom "{self.spec.bottom[0]}" is {show(maps)}'
            self.fail(said, "bottom", expected=f"{show(wanted)}")
        self._eight = bool(p.biases) and labels[-1:] == (8,) and math.prod(labels[:-2]) == 1
        each = math.prod(labels[1:])
        right = labels[:1] == maps[:1] and (each == 7 * cells if not p.biases else each % 5 == 0)
        if not (self._eight or right):
            rows = "boxes x 5, or 1 x 1 x boxes x 8" if p.biases else f"{7 * cells}"
            self.fail(
                f'labels "{self.spec.bottom[1]}" are {show(labels)}',
                "bottom",
                index=1,
                expected=f"{images} x {rows}",
            )
        return [(images, p.num_class + 4 * cells * p.num_object)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        p, out = self.param, top[0]
        out.fill(0)
        found = self._second(bottom[0]) if p.biases else self._first(bottom[0])
        for boxes, truths, row in zip(found, self._truths(bottom[1], len(out)), out):
            for kind in truths.kinds[~truths.difficult]:
                row[int(kind)] += 1
            rows = self._judged(boxes, truths)
            row[p.num_class :].reshape(-1, 4)[: len(rows)] = rows

    def _second(self, maps: Array) -> list[Boxes]:
        """The boxes of YOLO v2's map, of each image."""
        p = self.param
        images, side, count = len(maps), p.side, p.side**2 * p.num_object
        t = maps.reshape(images, p.num_object, 5 + p.num_class, side, side)
        with np.errstate(over="ignore"):
            s = 1 / (1 + np.exp(-t[:, :, (0, 1, 4)]))
        cells = np.arange(side, dtype=self.dtype)
        x, y = (s[:, :, 0] + cells) / side, (s[:, :, 1] + cells[:, None]) / side
        w = np.exp(t[:, :, 2]) * (self._anchors[:, 0] / side)[:, None, None]
        h = np.exp(t[:, :, 3]) * (self._anchors[:, 1] / side)[:, None, None]
        shares = np.exp(t[:, :, 5:] - t[:, :, 5:].max(2, keepdims=True))
        shares /= shares.sum(2, keepdims=True)
        # cell by cell, anchor by anchor: the order of equal scores
        places = np.stack([x, y, w, h], -1).transpose(0, 2, 3, 1, 4).reshape(images, count, 4)
        objects = s[:, :, 2].transpose(0, 2, 3, 1).reshape(images, count)
        kinds = shares.transpose(0, 3, 4, 1, 2).reshape(images, count, p.num_class)
        return [self._of_image(*image) for image in zip(objects, kinds, places)]

    def _of_image(self, objects: Array, shares: Array, places: Array) -> Boxes:
        p, every = self.param, self.param.has("save_output_param")
        if every:
            where, kinds = np.nonzero(shares * objects[:, None] > LEAST)
        else:
            where, kinds = np.arange(len(objects)), shares.argmax(1)
        scores = self._score(objects[where], shares[where, kinds])
        boxes = Boxes(kinds, scores, places[where]).thinned(p.nms, within=every)
        return boxes.take(boxes.scores >= LEAST).take(slice(p.side**2 * p.num_object))

    def _first(self, maps: Array) -> list[Boxes]:
        """The boxes of YOLO v1's map, of each image."""
        p = self.param
        planes = maps.reshape(len(maps), p.num_class + 5 * p.num_object, p.side, p.side)
        shares, objects = planes[:, : p.num_class], planes[:, p.num_class :][:, : p.num_object]
        t = planes[:, p.num_class + p.num_object :].reshape(
            len(maps), p.num_object, 4, p.side, p.side
        )
        t = np.array(t.transpose(0, 3, 4, 1, 2))  # image, row, column, box, value
        if p.constriant:
            cells = np.arange(p.side, dtype=self.dtype)
            t[..., 0] = (t[..., 0] + cells[:, None]) / p.side
            t[..., 1] = (t[..., 1] + cells[:, None, None]) / p.side
        if p.sqrt:
            t[..., 2:] **= 2
        found = []
        for places, classes, own in zip(t, shares, objects):
            kinds = np.repeat(classes.argmax(0).reshape(-1), p.num_object)
            best = np.repeat(classes.max(0).reshape(-1), p.num_object)
            scores = self._score(own.transpose(1, 2, 0).reshape(-1), best)
            boxes = Boxes(kinds, scores, places.reshape(-1, 4))
            found.append(boxes.thinned(p.nms, False) if p.nms >= 0 else boxes.best_first())
        return found

    def _score(self, objects: Array, shares: Array) -> Array:
        kind = self.param.score_type
        if kind == ScoreType.OBJ:
            return objects
        return shares if kind == ScoreType.PROB else objects * shares

    def _truths(self, labels: Array, images: int) -> list[Truths]:
        """The true boxes of each image; those of images that are not in the batch are none's."""
        p = self.param
        if not p.biases:
            cells = labels.reshape(images, 7, p.side**2)
            return [self._of(c[2], c[3:].reshape(-1, 4), c[0] == 1, c[1] != 0) for c in cells]
        if self._eight:
            rows = labels.reshape(-1, 8)
            low, high = rows[:, 3:5], rows[:, 5:7]
            places, no = np.concatenate([(low + high) / 2, high - low], 1), rows[:, 0] < -1e9
            return [self._of(rows[:, 1] - 1, places, no, rows[:, 0] == n) for n in range(images)]
        lists = labels.reshape(images, math.prod(labels.shape[1:]) // 5, 5)
        there = np.logical_and.accumulate(lists[:, :, 1] != 0, 1)
        return [self._of(r[:, 0], r[:, 1:], r[:, 0] < -1e9, t) for r, t in zip(lists, there)]

    def _of(self, kinds: Array, places: Array, difficult: Array, there: Array) -> Truths:
        classes = self.param.num_class
        for kind in kinds[there]:
            if not (0 <= kind < classes and kind == int(kind)):
                first = int(self._eight)
                self.fail(
                    f'labels "{self.spec.bottom[1]}": a box is of class {kind + first:g}',
                    "bottom",
                    index=1,
                    expected=f"{first} to {first + classes - 1}",
                )
        return Truths(kinds[there], places[there], difficult[there])

    def _judged(self, boxes: Boxes, truths: Truths) -> Array:
        """(R, 4): class, score, right, wrong, by class."""
        p, second = self.param, bool(self.param.biases)
        taken: set[int] = set()
        rows = np.zeros((len(boxes.scores), 4), self.dtype)
        for row, k in zip(rows, np.argsort(boxes.kinds, kind="stable")):
            row[:2] = boxes.kinds[k], boxes.scores[k]
            own = np.flatnonzero(truths.kinds == boxes.kinds[k])
            shared = overlap(truths.places[own], boxes.places[k])
            if not len(own) or shared.max() < p.threshold:
                row[3] = not second or not len(own)
                continue
            best = int(own[shared.argmax()])
            if not truths.difficult[best]:
                row[2:] = (0, 1) if best in taken else (1, 0)
                taken.add(best)
        return rows

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: no boxes at all."""
        if not index:
            return None
        return np.full(shape, -1.0) if shape[-1:] == (8,) else np.zeros(shape)
