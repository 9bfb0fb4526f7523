"""DetectionGroupLoss: the loss of Cascade R-CNN's proposal network, of what is at cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register
from caffelite.layers.bbox_reg import BBoxRegParameter
from caffelite.layers.cases import Case, random
from caffelite.layers.field_codes import FLT_MIN, LOSS_IDLE, FieldCodes, class_loss, softmax
from caffelite.schema.common import LossParameter
from caffelite.schema.message import FieldSpec, field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "detection_group_loss_param"
MINING = ("random", "bootstrap", "mixture")
RANKING = ("conf_loss", "conf_prob")
BOXES = ("Smooth_L1", "Euclidean_L2")


class DetectionGroupLossParameter(LayerMessage, field=PARAM, number=1167):
    """The fields of the maps' cells, and which cells count."""

    cls_num: int = field(1, "uint32", least=1, doc="number of classes C, the background is 0")
    field_h: list[int] = repeated(3, "uint32", least=1, doc="heights of the fields, one a map")
    field_w: list[int] = repeated(4, "uint32", least=1, doc="widths of the fields")
    stride: int = field(5, "uint32", least=1, doc="pixels a cell")
    field_whr: float = field(
        6, "float", default=4.0, above=0, doc="with field_xyr: sides, at most so many fields"
    )
    field_xyr: float = field(
        7, "float", default=0.25, above=0, doc="with field_whr: centres move by 1/it at most"
    )
    bg_threshold: float = field(
        8, "float", default=0.5, doc="a background overlaps no object by as much"
    )
    bg_multiple: int = field(9, "uint32", default=4, doc="so many backgrounds for each object")
    neg_mining_type: str = field(
        10, "string", default="random", doc="which backgrounds: random, bootstrap, mixture"
    )
    neg_ranking_type: str = field(
        11, "string", default="conf_loss", doc="bootstrap, mixture: by conf_loss or conf_prob"
    )
    min_num_neg: int = field(
        12, "uint32", default=5, doc="least backgrounds of an image without batch_size"
    )
    objectness: bool = field(13, "bool", default=False, doc="all classes from 1 on are class 1?")
    batch_size: int = field(14, "int32", default=-1, least=-1, doc="cells of an image; -1: any")
    pos_neg_weighted: bool = field(
        15, "bool", default=False, doc="do objects and backgrounds count as if there were enough?"
    )
    bbox_loss_type: str = field(16, "string", default="Smooth_L1", doc="or Euclidean_L2")


# a word of Python's, which no class can have as a name
DetectionGroupLossParameter.add_field(
    "lambda", FieldSpec(2, "float", default=1.0, doc="factor of the loss of boxes")
)


def _labels(kinds: list[list[int]], overlaps: list[list[float]]) -> Array:
    """Maps of one row whose objects are boxes of 9 x 7 pixels around (9, 12)."""
    maps = np.zeros((len(kinds), 6, 1, len(kinds[0])))
    maps[:, 0, 0], maps[:, 5, 0] = kinds, overlaps
    maps[:, 1:5] = np.array([9.0, 12, 9, 7])[:, None, None]
    return maps


_KINDS = [[0, 2, 0, 0, 0], [0, 0, 1, 0, 0], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
_OVERLAPS = [[0.1, 0.6, 0.2, 0, 0], [0.7, 0.1, 0.8, 0, 0], [0.9, 0, 0, 0, 0], [0.6, 0, 0, 0, 0]]


@register
class DetectionGroupLoss(LossLayer):
    """G maps of each image, one for each size of field, with scores of C classes and codes
    (tx, ty, tw, th) of a box at each cell, as BoxGroupOutput reads them. L = A + `lambda`·B with

    A = (1/m) Σ −w·ln max(p, FLT_MIN), p being the softmax probability of the cell's class, over the
    m cells that count. Of an image's maps together, with `batch_size` these are that many: a part
    1/(1 + `bg_multiple`) of objects, or as many as there are, and backgrounds for the rest; else
    all objects and `bg_multiple` backgrounds for each, `min_num_neg` at least. A background (class
    0) overlaps an object by less than `bg_threshold`; where there are too many objects or
    backgrounds, they are drawn. `neg_mining_type` "bootstrap" takes the backgrounds of the greatest
    loss instead ("conf_prob" as `neg_ranking_type`: of the greatest 1 − p), "mixture" half of them.
    w is 1; `pos_neg_weighted` scales objects to weigh m/(1 + `bg_multiple`) together, and
    backgrounds the rest.

    B = (1/4k) Σ d(code − target), over the k objects that count, d being x²/2 up to 1 and |x| − 1/2
    from there ("Smooth_L1"), or x²/2 ("Euclidean_L2"). Targets are the labelled box's codes, less
    `bbox_mean`, over `bbox_std` (bbox_reg_param), its sides 2 at least. With both `field_xyr` and
    `field_whr` codes are held to the bounds that BoxGroupOutput has.

    Gradients: those of the formula; of a code beyond its bound the bound's, as in the fork.
    Shapes: scores (N·G, C, H, W); codes (N·G, 4, H, W); labels (N·G, 6, H, W), class, centre x, y,
    width, height in pixels, and overlap. Tops: L (); if named `lambda`·B (). (The fork has both in
    one blob (1, 1, 1, 2).)
    Source: Cai and Vasconcelos 2018, Cascade R-CNN.
    """

    compares = False
    bottoms = (3, 3)
    tops = (1, 2)
    backward_reads = ()
    extension = f"Cascade R-CNN (zhaoweicai/cascade-rcnn), there {PARAM} = 156"
    param: DetectionGroupLossParameter = param_of(DetectionGroupLossParameter)
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = LOSS_IDLE
    cases = (
        Case(
            f'type: "DetectionGroupLoss" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 4 field_h: 2 '
            "field_w: 16 stride: 8 lambda: 2 bg_threshold: 0.3 field_whr: 2 field_xyr: 2 }",
            # in the first map an object, a background, and one that overlaps too much; p is 3/4
            # and 1/2. In the second, of fields of 16 x 2, an object, of which p is 1/4
            {
                "scores": np.array(
                    [[[0, 0, 5], [math.log(3), 0, 0]], [[math.log(3), 5, 5], [0, 0, 0]]]
                ).reshape(2, 2, 1, 3),
                "codes": np.array(
                    [
                        [[0.5, 9, 9], [0, 9, 9], [0, 9, 9], [3, 9, 9]],
                        [[0.25, 9, 9], [0, 9, 9], [0, 9, 9], [0, 9, 9]],
                    ]
                ).reshape(2, 4, 1, 3),
                # the first field at (4, 4): a box that is moved by a quarter of its 4 columns; the
                # second: by a sixteenth of its 16 columns, and narrower
                "label": np.array(
                    [
                        [[1, 0, 0], [5, 0, 0], [4, 0, 0], [4, 0, 0], [8, 0, 0], [0.7, 0.2, 0.3]],
                        [[1, 0, 0], [5, 0, 0], [4, 0, 0], [8, 0, 0], [2, 0, 0], [0.7, 0.4, 0.3]],
                    ]
                ).reshape(2, 6, 1, 3),
            },
            # the code 3 is held to ln 2
            {
                "loss": (2 * math.log(2) + math.log(4 / 3) + math.log(2)) / 3
                + 2 / 8 * (0.25**2 + (3 / 16) ** 2 + 2 * math.log(2) ** 2) / 2,
                "boxes": 2 / 8 * (0.25**2 + (3 / 16) ** 2 + 2 * math.log(2) ** 2) / 2,
            },
            gradient=False,  # of a code beyond its bound it is the one at the bound
        ),
        *(
            Case(
                f'type: "DetectionGroupLoss" loss_weight: 2 {PARAM} {{ cls_num: 3 field_h: 8 '
                f"field_h: 6 field_w: 8 field_w: 9 stride: 8 {more} }}",
                {
                    "scores": random(4, 3, 1, 5),
                    "codes": random(4, 4, 1, 5),
                    "label": _labels(_KINDS, _OVERLAPS),
                },
                tops=["loss"],
            )
            for more in (
                'neg_mining_type: "bootstrap" bg_multiple: 1 bbox_loss_type: "Euclidean_L2"',
                'neg_mining_type: "bootstrap" neg_ranking_type: "conf_prob" batch_size: 6 '
                "bg_multiple: 2 pos_neg_weighted: true",
            )
        ),
        Case(
            f'type: "DetectionGroupLoss" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 8 stride: 8 '
            "objectness: true batch_size: 4 bg_multiple: 1 } loss_param { ignore_label: 0 }",
            {
                "scores": random(1, 2, 1, 3),
                "codes": random(1, 4, 1, 3),
                "label": _labels([[3, 0, 0]], [[1.0, 0, 0]]),
            },
            tops=["loss"],
        ),
    )

    def propagates(self, index: int) -> bool:
        return index < 2

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self._codes = FieldCodes(self, PARAM, self.reg, "stride")
        for name, words in (
            ("neg_mining_type", MINING),
            ("neg_ranking_type", RANKING),
            ("bbox_loss_type", BOXES),
        ):
            if p.get(name) not in words:
                self.fail(
                    f'{name} is "{p.get(name)}"',
                    PARAM,
                    name,
                    expected=f"{', '.join(words[:-1])} or {words[-1]}",
                )
        if p.batch_size == 0:
            self.fail("batch_size is 0", PARAM, "batch_size", expected="1 or more, or -1: any")
        self._bounded = p.has("field_xyr") and p.has("field_whr")
        self.repeatable = p.neg_mining_type == "bootstrap" and p.batch_size == -1

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._codes.fit(bottom)
        scalar: Shape = ()
        return [scalar] * len(self.spec.top)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        scores, codes, labels = bottom
        kinds = self._codes.kinds(labels)
        live = self._codes.live(kinds)
        objects, grounds = self._chosen(kinds, labels[:, 5], softmax(scores))
        weights = self._weights(objects, grounds)
        loss, slope = class_loss(scores, kinds, weights, (objects | grounds) & live)
        self._diffs = [slope, np.zeros(codes.shape, self.dtype)]
        boxes = self._boxes(codes, labels, np.nonzero(objects & live))
        top[0][()] = loss + boxes
        if len(top) > 1:
            top[1][()] = boxes

    def _chosen(self, kinds: Array, overlaps: Array, probability: Array) -> tuple[Array, Array]:
        """Which objects and which backgrounds count, (N·G, H, W) each."""
        p = self.param
        images = len(kinds) // self._codes.groups
        objects = (kinds > 0).reshape(images, -1)
        fit = ((kinds == 0) & (overlaps < p.bg_threshold)).reshape(images, -1)
        # −ln p falls with p: either way the cells that are background least come first
        likely = probability[:, 0].reshape(images, -1)
        chosen = np.zeros((2, *objects.shape), bool)
        for n in range(images):
            good, ground = np.flatnonzero(objects[n]), np.flatnonzero(fit[n])
            if p.batch_size > 0:
                good = self._some(good, math.floor(p.batch_size / (1 + p.bg_multiple) + 0.5))
                count = p.batch_size - len(good)
            else:
                count = max(len(good) * p.bg_multiple, p.min_num_neg)
            if len(ground) > count:
                hard = {"random": 0, "bootstrap": count}.get(p.neg_mining_type, (count + 1) // 2)
                order = ground[np.lexsort((-ground, self._rank(likely[n, ground])))]
                rest = self._some(order[hard:], count - hard)
                ground = np.concatenate([order[:hard], rest])
            chosen[0, n, good] = chosen[1, n, ground] = True
        return chosen[0].reshape(kinds.shape), chosen[1].reshape(kinds.shape)

    def _rank(self, likely: Array) -> Array:
        """Backgrounds' order, the least first: losses of less than FLT_MIN are one."""
        return likely if self.param.neg_ranking_type == "conf_prob" else np.maximum(likely, FLT_MIN)

    def _some(self, places: Array, most: int) -> Array:
        return places if len(places) <= most else self.rng.choice(places, most, replace=False)

    def _weights(self, objects: Array, grounds: Array) -> Array:
        weights = np.ones(objects.shape, self.dtype)
        if self.param.pos_neg_weighted:
            counts = [int(np.count_nonzero(a)) for a in (objects, grounds)]
            part = 1 / (1 + self.param.bg_multiple)
            for places, count, share in zip((objects, grounds), counts, (part, 1 - part)):
                weights[places] = share * sum(counts) / max(count, 1)
        return weights

    def _boxes(self, codes: Array, labels: Array, where: tuple[Array, ...]) -> float:
        """The loss of the objects' boxes; its gradient is left in the codes'."""
        n, row, column = where
        if not len(n):
            return 0.0
        held = codes[n, :, row, column]
        if self._bounded:
            held = np.clip(held, *self._codes.bounds())
        off = held - self._codes.targets(labels, where)
        slope = np.clip(off, -1, 1) if self.param.bbox_loss_type == "Smooth_L1" else off
        scale = self.param.get("lambda") / off.size
        self._diffs[1][n, :, row, column] = scale * slope
        return float(scale * (slope * off - slope**2 / 2).sum())

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for diff, own in zip(bottom_diff, self._diffs):
            if diff is not None:
                np.multiply(own, top_diff[0], diff)

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: objects at some cells."""
        return self._codes.demanded(shape, rng) if index == 2 else None
