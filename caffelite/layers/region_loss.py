"""RegionLoss: the loss of YOLO v2, of where objects are and what they are."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.cell_loss import CellLoss, Truth, alike, overlap
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage, LayerParameter

PARAM = "region_loss_param"


class RegionLossParameter(LayerMessage, field=PARAM, number=302):
    """Anchors, and how much each part of the loss counts."""

    side: int = field(1, "uint32", default=13, idle="the map says it")
    num_class: int = field(2, "uint32", default=20, least=1, doc="number of classes C")
    bias_match: int = field(
        3, "uint32", default=1, doc="1: the anchor that is most like a box learns it; 0: the box"
    )
    coords: int = field(4, "uint32", default=4, least=4, most=4, idle="a box has 4 values")
    num: int = field(5, "uint32", default=5, least=1, doc="anchors B of a cell")
    softmax: int = field(6, "uint32", default=1, idle="it always is one")
    jitter: float = field(7, "float", default=0.2, idle="the forks do not read it")
    rescore: int = field(
        8, "uint32", default=1, doc="rows of five: 1: an object's score learns the overlap"
    )
    object_scale: float = field(9, "float", default=1.0, doc="factor of scores of objects")
    class_scale: float = field(10, "float", default=1.0, doc="factor of classes")
    noobject_scale: float = field(11, "float", default=0.5, doc="factor of scores of nothing")
    coord_scale: float = field(12, "float", default=5.0, doc="factor of boxes")
    absolute: int = field(13, "uint32", default=1, idle="the forks do not read it")
    thresh: float = field(
        14, "float", default=0.2, doc="a box with a larger overlap is not nothing"
    )
    random: int = field(15, "uint32", default=1, idle="the forks do not read it")
    biases: list[float] = repeated(
        16, "float", above=0, doc="width, height of each anchor, in cells"
    )
    softmax_tree: str = field(17, "string", doc="classes as a tree, YOLO9000; refused here")
    class_map: str = field(18, "string", doc="classes by another number; refused here")


@register
class RegionLoss(CellLoss):
    """The anchor at cell (i, j) gives the box of YoloDetectionOutput, a score o = σ(to), and
    classes p, a softmax. Where no true box overlaps it by more than `thresh`, o is to be 0. Each
    true box has one anchor of its cell, the one that is most like it: that learns its centre and
    size, an o of 1 and its class. L = J/N with

    J = noobject_scale·Σ o²/2 + Σ over true boxes of (coord_scale·s·Σ (code − target)²/2 +
    object_scale·(o − u)²/2 − class_scale·ln p),

    with codes σ(tx), σ(ty), tw, th, and targets of the same kind. With `rescore` u is the overlap,
    taken as given, and s is 1; without it u is 1 and s is 2 less the box's area.

    Labels with rows of eight, as AnnotatedData gives them, are those of choasup's fork, and so is
    the loss then: an error of a code counts as Huber's (square up to 1), s is 1, and object_scale
    has the factor (1 − o)⁴/2.

    Gradient: δ/N, δ being J's. The forks show Σ δ²/N (choasup's Σ δ²) in place of L; a second top,
    if named, is that.
    Shapes: map (N, B·(5 + C), H, W), channels as YoloDetectionOutput reads them; labels N rows of
    fives (class from 0, centre, size in parts of the image, zeros behind the last), or
    (1, 1, R, 8).
    Source: Redmon and Farhadi 2017, YOLO9000; eric612/MobileNet-YOLO; choasup/caffe-yolo9000.
    """

    extension = f"YOLO forks: choasup/caffe-yolo9000; eric612/MobileNet-YOLO, there {PARAM} = 600"
    param: RegionLossParameter = param_of(RegionLossParameter)
    cases = (
        Case(
            f'type: "RegionLoss" {PARAM} {{ num_class: 2 num: 1 biases: 1 biases: 1 '
            "rescore: 0 object_scale: 5 noobject_scale: 1 coord_scale: 1 }",
            # two cells; the box is the right one's, whose codes are right but for tw = 1: δ is
            # 2 - 1/2; o = 1/2 wants 1: 5·(-1/2)/4; p = (1/4, 3/4) wants the first. The left
            # one's o = 1/2 wants 0: (1/2)/4
            {
                "map": np.array(
                    [[0, 0], [0, 0], [0, 1], [0, 0], [0, 0], [0, 0], [0, math.log(3)]]
                ).reshape(1, 7, 1, 2),
                "label": [[0.0, 0.75, 0.5, 0.5, 1.0]],
            },
            {
                "loss": 1.5 / 2 + 5 / 8 + math.log(4) + 1 / 8,
                "shown": 1.5**2 + (5 / 8) ** 2 + 2 * (3 / 4) ** 2 + (1 / 8) ** 2,
            },
        ),
        Case(
            f'type: "RegionLoss" {PARAM} {{ num_class: 3 num: 2 biases: 1 biases: 2 biases: 2 '
            "biases: 0.5 }",
            {
                "map": random(2, 16, 3, 3),
                "label": [
                    [2, 0.3, 0.7, 0.3, 0.2, 0, 0.5, 0.1, 0.8, 0.1],
                    [1, 0.9, 0.9, 0.5, 0.5, *[0] * 5],
                ],
            },
            tops=["loss"],
            gradient=False,  # the overlap moves with the map, but is taken as given
        ),
        Case(
            f'type: "RegionLoss" loss_weight: 2 {PARAM} {{ num_class: 3 num: 2 biases: 1 biases: 2 '
            "biases: 2 biases: 0.5 rescore: 0 bias_match: 0 }",
            {
                "map": random(2, 16, 3, 3),
                "label": [[[2, 0.3, 0.7, 0.3, 0.2], [0, 0.5, 0.1, 0.8, 0.1]], [[0.0] * 5] * 2],
            },
            tops=["loss"],
        ),
        Case(
            f'type: "RegionLoss" {PARAM} {{ num_class: 3 num: 2 biases: 1 biases: 2 biases: 2 '
            "biases: 0.5 }",
            {
                "map": random(2, 16, 3, 3),
                "label": [[[[1, 3, 0, 0.1, 0.2, 0.6, 0.9, 0], [0, 1, 0, 0.5, 0.5, 0.9, 0.6, 0]]]],
            },
            tops=["loss"],
        ),
    )

    @classmethod
    def image_size(cls, spec: LayerParameter) -> tuple[int, int] | None:
        side = int(32 * spec.get(PARAM).side)
        return side, side

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        for name in ("softmax_tree", "class_map"):
            if p.get(name):
                self.fail(f"{name} is not built in", PARAM, name, expected="no such field")
        if len(p.biases) != 2 * p.num:
            self.fail(
                f"{len(p.biases)} biases for {p.num} anchors",
                PARAM,
                "biases",
                expected=f"{2 * p.num}, width and height of each",
            )
        self._anchors = np.array(p.biases, self.dtype).reshape(-1, 2)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return self.fit(bottom, self.param.num, self.param.num_class)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        t, delta, p = bottom[0].reshape(self._sizes), self._delta, self.param
        boxes = self.boxes(t, self._anchors)
        with np.errstate(over="ignore"):
            objects = 1 / (1 + np.exp(-t[:, :, 4]))
        classes = np.exp(t[:, :, 5:] - t[:, :, 5:].max(2, keepdims=True))
        classes /= classes.sum(2, keepdims=True)
        cost = self._cost
        delta.fill(0)
        cost.fill(0)
        delta[:, :, 4] = p.noobject_scale * objects**2 * (1 - objects)
        cost[:, :, 4] = p.noobject_scale * objects**2 / 2
        for n, truths in enumerate(self.truths(bottom[1])):
            found = self.found(boxes[n], truths, p.thresh)
            delta[n, :, 4][found] = cost[n, :, 4][found] = 0
            for truth in truths:
                at = (n, self._anchor(boxes[n], truth), slice(None), truth.row, truth.column)
                place = at[:2] + at[3:]
                self._learn(delta[at], cost[at], t[at], at[1], boxes[place], truth)
                cost[at][5:] = 0
                cost[at][5 + truth.kind] = -p.class_scale * np.log(classes[at][truth.kind])
                delta[at][5:] = p.class_scale * classes[at]
                delta[at][5 + truth.kind] -= p.class_scale
        self.write(top, float(np.vdot(delta, delta)) / (1 if self._eight else len(t)))

    def _anchor(self, boxes: Array, truth: Truth) -> int:
        sizes = boxes[:, truth.row, truth.column, 2:]
        if self.param.bias_match:
            sizes = self._anchors / self._sizes[:2:-1]
        return int(alike(sizes, truth.box[2:]).argmax())

    def _learn(
        self, delta: Array, cost: Array, t: Array, anchor: int, box: Array, truth: Truth
    ) -> None:
        """Write δ and cost of the box and the score of a true box's anchor."""
        p, cells = self.param, self._sizes[:2:-1]
        centre, o = 1 / (1 + np.exp(-t[:2])), 1 / (1 + np.exp(-t[4]))
        size = np.log(truth.box[2:] * cells / self._anchors[anchor])
        off = np.concatenate([centre - truth.codes, t[2:4] - size])
        slope, scale = off, p.coord_scale
        if self._eight:
            slope = np.clip(off, -1, 1)
            delta[4] = -p.object_scale * 2 * (1 - o) ** 4 * o
            cost[4] = p.object_scale * (1 - o) ** 4 / 2
        else:
            scale *= 1 if p.rescore else 2 - truth.box[2] * truth.box[3]
            wanted = overlap(box, truth.box) if p.rescore else 1
            delta[4] = p.object_scale * (o - wanted) * o * (1 - o)
            cost[4] = p.object_scale * (o - wanted) ** 2 / 2
        delta[:4] = scale * slope
        delta[:2] *= centre * (1 - centre)
        cost[:4] = scale * (slope * off - slope**2 / 2)
