"""YoloV1Loss: the loss of YOLO v1, of where objects are and what they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.cell_loss import ReadsCells, overlap
from caffelite.layers.detection_loss import PARAM, V1_FIELDS, DetectionLossParameter
from caffelite.schema.net import LayerParameter


def _label(side: int, *objects: tuple[int, int, float, float, float, float, float]) -> Array:
    """A sample's labels: of each object cell, class, centre, size."""
    planes = np.zeros((7, side, side))
    planes[2] = -1
    boxes = planes[3:].reshape(side, side, 4)
    for row, column, kind, *box in objects:
        planes[1, row, column], planes[2, row, column], boxes[row, column] = 1, kind, box
    return planes.reshape(-1)


@register
class YoloV1Loss(ReadsCells, LossLayer):
    """A layer of type "DetectionLoss" with fields of YOLO v1's is this one.

    The map has S·S cells: planes of classes p (C), of scores o (B) and of boxes (B times centre x,
    y, width, height). L = J/N with

    J = noobject_scale·Σ o²/2 + Σ over cells with an object of (class_scale·Σ (p − t)²/2 +
    object_scale·(o − u)²/2 + coord_scale·Σ (box − truth)²/2),

    t being 1 for the object's class, else 0. Box and o are those of the cell's box that overlaps
    the true one most, or, if none does, is closest to it; u is that overlap, taken as given; that o
    has no part in the first sum. Centres are parts of the image, or with `constriant` of the cell;
    with `sqrt` the map has the roots of width and height, and so has the truth.

    Gradient: δ/N, δ being J's. The fork shows other numbers in place of L, which a second top, if
    named, has: sums of squares of the same kind, those of objects with u = 1 over the number of
    objects, that of nothing over the number of other boxes.
    Shapes: map N·(C + 5·B)·S·S values; labels N·7·S·S, as EvalDetection reads them; L ().
    Source: Redmon et al. 2016, You Only Look Once; yeahkun/caffe-yolo.
    """

    compares = False
    backward_reads = ()
    tops = (1, 2)
    extension = f'yeahkun/caffe-yolo, there {PARAM} = 200 and type "DetectionLoss"'
    param: DetectionLossParameter = param_of(DetectionLossParameter)
    idle: ClassVar[Mapping[str, str]] = {
        f"{PARAM}.{name}": "MS-CNN's; beside fields of YOLO v1's it says nothing"
        for name in DetectionLossParameter.specs
        if name not in V1_FIELDS
    }
    cases = (
        Case(
            f'type: "YoloV1Loss" {PARAM} {{ side: 2 num_class: 2 num_object: 1 constriant: true }}',
            # an object in the second cell; o = 1/2 all over. Its box is right but for the width,
            # whose root is 1/2 and not 1; they share 1/4. p = (1/4, 3/4) wants the first
            {
                "map": np.array(
                    [
                        *([9, 0.25, 9, 9], [9, 0.75, 9, 9]),
                        [0.5] * 4,
                        *([9, 0.5, 9, 9], [9, 0.5, 9, 9], [9, 0.5, 9, 9], [9, 1, 9, 9]),
                    ]
                ).reshape(1, 7, 2, 2),
                "label": _label(2, (0, 1, 0, 0.75, 0.25, 1, 1))[None],
            },
            {
                "loss": 0.5 * 3 / 8 + (0.75**2 + 0.75**2 + 0.25**2 + 5 * 0.25) / 2,
                "shown": 0.5 * 3 / 4 / 3 + 0.75**2 + 0.75**2 + 0.5**2 + 5 * 0.25,
            },
            gradient=False,  # the overlap moves with the map, but is taken as given
        ),
        Case(
            f'type: "YoloV1Loss" loss_weight: 2 {PARAM} {{ side: 2 num_class: 3 num_object: 2 '
            "sqrt: false coord_scale: 2 class_scale: 3 }",
            # far from all boxes: the closest learns, and u is 0
            {
                "map": random(2, 13 * 4),
                "label": np.stack(
                    [_label(2, (0, 0, 2, 7, 7, 0.5, 0.5), (1, 1, 0, 9, 6, 0.1, 0.3)), _label(2)]
                ),
            },
            tops=["loss"],
        ),
        Case(
            f'type: "YoloV1Loss" {PARAM} {{ side: 1 num_class: 1 num_object: 2 }}',
            # the second box shares 1/2 with the true one, the first nothing
            {
                "map": [[1.0, 0.5, 0.5, 4, 4, 1, 1, 0.5, 0.5, 0.5**0.5, 1]],
                "label": _label(1, (0, 0, 0, 0.5, 0.5, 1, 1))[None],
            },
            {"loss": (0.5 * 0.25 + 5 * (1 - 0.5**0.5) ** 2) / 2},
            gradient=False,  # as above
        ),
    )

    @classmethod
    def label_size(cls, spec: LayerParameter) -> int:
        return int(7 * spec.get(PARAM).side ** 2)

    @classmethod
    def image_size(cls, spec: LayerParameter) -> tuple[int, int] | None:
        side = int(64 * spec.get(PARAM).side)
        return side, side

    def propagates(self, index: int) -> bool:
        return index == 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p = self.param
        self.need_values(bottom)
        planes, cells = p.num_class + 5 * p.num_object, p.side**2
        for i, (shape, each) in enumerate(zip(bottom, (planes * cells, 7 * cells))):
            if shape[0] != bottom[0][0] or math.prod(shape[1:]) != each:
                said = f'bottom "{self.spec.bottom[i]}" is {show(shape)}'
                self.fail(said, "bottom", index=i, expected=f"{bottom[0][0]} x {each}")
        self._sizes = (bottom[0][0], planes, p.side, p.side)
        scalar: Shape = ()
        return [scalar] * len(self.spec.top)

    def prepare(self) -> None:
        self._delta = np.zeros(self._sizes, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        p, delta = self.param, self._delta
        maps = bottom[0].reshape(self._sizes)
        first = p.num_class + p.num_object
        objects = maps[:, p.num_class : first]
        delta.fill(0)
        delta[:, p.num_class : first] = p.noobject_scale * objects
        nothing, cost, shown = float((objects**2).sum()), 0.0, 0.0
        count = 0
        for n, labels in enumerate(bottom[1].reshape(len(maps), 7, p.side, p.side)):
            boxes = labels[3:].reshape(p.side, p.side, 4)
            for row, column in np.argwhere(labels[1] != 0):
                count += 1
                at, kind = (n, slice(None), row, column), self._kind(labels[2, row, column])
                t, d = maps[at], delta[at]
                k, shared, off = self._chosen(t[first:], boxes[row, column], (column, row))
                o, miss = t[p.num_class + k], t[: p.num_class] - (np.arange(p.num_class) == kind)
                nothing -= float(o**2)
                d[: p.num_class] = p.class_scale * miss
                d[p.num_class + k] = p.object_scale * (o - shared)
                d[first + 4 * k : first + 4 * k + 4] = p.coord_scale * off
                same = p.class_scale * float(miss @ miss) + p.coord_scale * float(off @ off)
                cost += same + p.object_scale * float(o - shared) ** 2
                shown += same + p.object_scale * float(o - 1) ** 2
        nothing *= p.noobject_scale
        top[0][()] = (cost + nothing) / 2 / len(maps)
        if len(top) > 1:
            others = objects.size - count
            top[1][()] = shown / max(count, 1) + nothing / max(others, 1)

    def _kind(self, value: float) -> int:
        classes = self.param.num_class
        if not (0 <= value < classes and value == int(value)):
            self.fail(
                f'labels "{self.spec.bottom[1]}": a box is of class {value:g}',
                "bottom",
                index=1,
                expected=f"0 to {classes - 1}",
            )
        return int(value)

    def _chosen(self, t: Array, truth: Array, cell: tuple[int, int]) -> tuple[int, float, Array]:
        """Which of a cell's boxes learns, what it shares with the true one, and its error."""
        p = self.param
        codes = t.reshape(p.num_object, 4)
        boxes, wanted = codes.copy(), truth.astype(self.dtype)
        if p.constriant:
            boxes[:, :2] = (boxes[:, :2] + cell) / p.side
            wanted[:2] = wanted[:2] * p.side - cell
        if p.sqrt:
            boxes[:, 2:] **= 2
            wanted[2:] = np.sqrt(wanted[2:])
        shared = overlap(boxes, truth)
        apart = ((boxes - truth) ** 2).sum(1)
        k = int(shared.argmax() if shared.max() > 0 else apart.argmin())
        return k, float(shared[k]), codes[k] - wanted

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            np.multiply(self._delta, top_diff[0] / len(self._delta), dx.reshape(self._sizes))

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: one object in each image."""
        if not index:
            return None
        p, side = self.param, self.param.side
        row, column = rng.integers(0, side, 2)
        kind, (x, y) = int(rng.integers(0, p.num_class)), rng.uniform(0.2, 0.8, 2)
        one = _label(side, (row, column, kind, (column + x) / side, (row + y) / side, 0.4, 0.3))
        return np.tile(one, shape[0]).reshape(shape)
