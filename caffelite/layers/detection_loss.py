"""DetectionLoss: the loss of MS-CNN's proposal network, of what is at cells and where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, LossLayer, Shapes, param_of, register
from caffelite.layers.bbox_reg import BBoxRegParameter
from caffelite.layers.cases import Case, random
from caffelite.layers.field_codes import LOSS_IDLE, FieldCodes, class_loss
from caffelite.layers.registry import registry
from caffelite.schema.common import LossParameter
from caffelite.schema.message import FieldSpec, field
from caffelite.schema.net import LayerMessage, LayerParameter

PARAM = "detection_loss_param"


class DetectionLossParameter(LayerMessage, field=PARAM, number=1164):
    """The field of the map's cells, and which cells count."""

    cls_num: int = field(1, "uint32", least=1, doc="number of classes C, the background is 0")
    coord_num: int = field(2, "uint32", default=4, least=4, most=4, idle="a box has 4 codes")
    field_h: int = field(4, "uint32", least=1, doc="height of a cell's field")
    field_w: int = field(5, "uint32", least=1, doc="width of a cell's field")
    downsample_rate: int = field(6, "uint32", least=1, doc="pixels a cell")
    bb_smooth: bool = field(7, "bool", default=True, doc="smooth L1, else half the square?")
    field_whr: float = field(8, "float", default=2.0, above=0, doc="sides: at most so many fields")
    field_xyr: float = field(9, "float", default=2.0, above=0, doc="centres move by 1/it at most")
    bg_threshold: float = field(
        10, "float", default=0.5, doc="a background overlaps no object by as much"
    )
    bg_multiple: int = field(11, "uint32", default=4, doc="so many backgrounds for each object")
    sample_mode: str = field(
        12, "string", default="random", doc="random, bootstrap, mixture; others: all backgrounds"
    )
    objectness: bool = field(13, "bool", default=False, doc="all classes from 1 on are class 1?")
    iou_weighted: bool = field(14, "bool", default=False, doc="do objects count by their overlap?")
    pos_neg_weighted: bool = field(
        15, "bool", default=False, doc="do objects and backgrounds count as if there were enough?"
    )

    # YOLO v1's, which have the numbers 1 to 9 in its fork.
    side: int = field(101, "uint32", default=7, least=1, doc="YoloV1Loss: cells S along a side")
    num_class: int = field(102, "uint32", default=20, least=1, doc="YoloV1Loss: classes C")
    num_object: int = field(103, "uint32", default=2, least=1, doc="YoloV1Loss: boxes B of a cell")
    object_scale: float = field(104, "float", default=1.0, doc="YoloV1Loss: factor of objects")
    noobject_scale: float = field(
        105, "float", default=0.5, doc="YoloV1Loss: factor of scores of nothing"
    )
    class_scale: float = field(106, "float", default=1.0, doc="YoloV1Loss: factor of classes")
    coord_scale: float = field(107, "float", default=5.0, doc="YoloV1Loss: factor of boxes")
    sqrt: bool = field(
        108, "bool", default=True, doc="YoloV1Loss: does the map hold roots of sizes?"
    )
    constriant: bool = field(
        109, "bool", default=False, doc="YoloV1Loss: are centres counted from the cell?"
    )


# a word of Python's, which no class can have as a name
DetectionLossParameter.add_field(
    "lambda", FieldSpec(3, "float", default=1.0, doc="factor of the loss of boxes")
)

V1_FIELDS = [spec.name for spec in DetectionLossParameter.specs.values() if spec.number > 100]
IDLE_V1 = dict.fromkeys((f"{PARAM}.{name}" for name in V1_FIELDS), "it is for YoloV1Loss")


@register
class DetectionLoss(LossLayer):
    """At each cell of a map scores of C classes and codes (tx, ty, tw, th) of a box, as BoxOutput
    reads them. L = A + `lambda`·B with

    A = (1/m) Σ −w·ln max(p, FLT_MIN), p being the softmax probability of the cell's class, over the
    m cells that count: all objects, and some backgrounds (class 0) that overlap an object by less
    than `bg_threshold`. `sample_mode` says which: "random", `bg_multiple` for each object of the
    image, drawn with repeats, at least 4·(C − 1) draws; "bootstrap", for each class the cells with
    its highest scores, `bg_multiple` for each of its objects, at least 4; "mixture", half as many
    of both; any other word, all of them.
    w is 1, with `iou_weighted` for objects their overlap; `pos_neg_weighted` scales objects to
    weigh m/(1 + `bg_multiple`) together, and backgrounds the rest.

    B = (1/4k) Σ d(code − target), over the k objects, d being x²/2 up to 1 and |x| − 1/2 from there
    (`bb_smooth`), else x²/2. Codes are held to the bounds that BoxOutput has; targets are the
    labelled box's codes, less `bbox_mean`, over `bbox_std` (bbox_reg_param), its sides 2 at least.

    A layer that gives a field of YOLO v1's, as yeahkun's fork has it, is a YoloV1Loss.

    Gradients: those of the formula; of a code beyond its bound the bound's, as in the fork.
    Shapes: map (N, C + 4, H, W); labels (N, 6, H, W), class, centre x, y, width, height in pixels,
    and overlap. Tops: L (); if named `lambda`·B (). (The fork has both in one blob (1, 1, 1, 2).)
    Source: Cai et al. 2016, MS-CNN.
    """

    compares = False
    tops = (1, 2)
    backward_reads = ()
    extension = f"MS-CNN fork (zhaoweicai/mscnn), there {PARAM} = 149"
    param: DetectionLossParameter = param_of(DetectionLossParameter)
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = LOSS_IDLE | IDLE_V1
    cases = (
        Case(
            f'type: "DetectionLoss" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 4 downsample_rate: 8 '
            'sample_mode: "all" lambda: 2 bg_threshold: 0.3 }',
            # an object, a background, and one that overlaps too much; p is 3/4 and 1/2
            {
                "map": np.array(
                    [[0, 0, 5], [math.log(3), 0, 0], [0.5, 9, 9], [0, 9, 9], [0, 9, 9], [3, 9, 9]]
                ).reshape(1, 6, 1, 3),
                # the field at (4, 4): a box that is moved by a quarter of its 4 columns
                "label": np.array(
                    [[1, 0, 0], [5, 0, 0], [4, 0, 0], [4, 0, 0], [8, 0, 0], [0.7, 0.2, 0.3]]
                ).reshape(1, 6, 1, 3),
            },
            # the code 3 is held to ln 2
            {
                "loss": (math.log(4 / 3) + math.log(2)) / 2
                + 2 / 4 * (0.25**2 + math.log(2) ** 2) / 2,
                "boxes": 2 / 4 * (0.25**2 + math.log(2) ** 2) / 2,
            },
            gradient=False,  # of a code beyond its bound it is the one at the bound
        ),
        *(
            Case(
                f'type: "DetectionLoss" loss_weight: 2 {PARAM} {{ cls_num: 3 field_h: 8 field_w: 8 '
                f"downsample_rate: 8 field_whr: 9 field_xyr: 0.2 {more} }}",
                {
                    "map": random(2, 7, 3, 3),
                    "label": np.stack(
                        [
                            [[[0, 2, 0], [0, 0, 1], [2, 0, 0]]] * 2,
                            [[[9.0] * 3] * 3] * 2,
                            [[[12.0] * 3] * 3] * 2,
                            [[[7.0] * 3] * 3] * 2,
                            [[[9.0] * 3] * 3] * 2,
                            [[[0.1, 0.6, 0.2], [0.7, 0.1, 0.8], [0.9, 0, 0]]] * 2,
                        ],
                        1,
                    ),
                },
                tops=["loss"],
            )
            for more in (
                'sample_mode: "bootstrap" bb_smooth: false iou_weighted: true',
                'sample_mode: "mixture" bg_multiple: 1 pos_neg_weighted: true',
            )
        ),
        Case(
            f'type: "DetectionLoss" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 8 downsample_rate: 8 '
            "objectness: true field_whr: 9 field_xyr: 0.2 } loss_param { ignore_label: 0 }",
            {
                "map": random(1, 6, 1, 2),
                "label": np.array([[3, 0], [5, 0], [4, 0], [8, 0], [8, 0], [1, 0]]).reshape(
                    1, 6, 1, 2
                ),
            },
            tops=["loss"],
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        """YoloV1Loss, where one of its fields is given."""
        p = spec.get(PARAM)
        return registry["YoloV1Loss"] if any(p.has(name) for name in V1_FIELDS) else cls

    def propagates(self, index: int) -> bool:
        return index == 0

    def setup(self, bottom: Shapes) -> None:
        self._codes = FieldCodes(self, PARAM, self.reg)
        self.repeatable = self.param.sample_mode not in ("random", "mixture")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._codes.fit(bottom)
        scalar: Shape = ()
        return [scalar] * len(self.spec.top)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        maps, labels = bottom
        classes = self._codes.classes
        kinds = self._codes.kinds(labels)
        scores = maps[:, :classes]
        objects, grounds = kinds != 0, self._grounds(kinds, labels[:, 5], scores)
        weights = self._weights(objects, grounds, labels[:, 5])
        live = self._codes.live(kinds)
        loss, slope = class_loss(scores, kinds, weights, (objects | grounds) & live)
        self._diff = np.zeros(maps.shape, self.dtype)
        self._diff[:, :classes] = slope
        boxes = self._boxes(maps[:, classes:], labels, np.nonzero(objects & live))
        top[0][()] = loss + boxes
        if len(top) > 1:
            top[1][()] = boxes

    def _grounds(self, kinds: Array, overlaps: Array, scores: Array) -> Array:
        """Which backgrounds count, (N, H, W)."""
        p = self.param
        fit: Array = (kinds == 0) & (overlaps < p.bg_threshold)
        if p.sample_mode not in ("random", "bootstrap", "mixture"):
            return fit
        half = 0.5 if p.sample_mode == "mixture" else 1.0
        chosen = np.zeros(kinds.shape, bool)
        for n, (own, good) in enumerate(zip(kinds, fit)):
            taken, flat = chosen[n].reshape(-1), good.reshape(-1)
            if p.sample_mode != "bootstrap":
                count = int(np.count_nonzero(own) * p.bg_multiple * half)
                drawn = self.rng.integers(0, flat.size, max(count, 4 * (self._codes.classes - 1)))
                taken[drawn] = flat[drawn]
            if p.sample_mode != "random":
                for kind in range(1, self._codes.classes):
                    count = int(np.count_nonzero(own == kind) * p.bg_multiple * half)
                    places = np.flatnonzero(flat)
                    order = np.argsort(-scores[n, kind].reshape(-1)[places], kind="stable")
                    taken[places[order[: max(count, 4)]]] = True
        return chosen

    def _weights(self, objects: Array, grounds: Array, overlaps: Array) -> Array:
        p = self.param
        weights = np.ones(objects.shape, self.dtype)
        if p.iou_weighted:
            weights[objects] = overlaps[objects]
        total = weights[objects].sum()
        if p.pos_neg_weighted and total:
            count, part = np.count_nonzero(objects | grounds), 1 / (1 + p.bg_multiple)
            weights[objects] *= part * count / total
            weights[grounds] *= (1 - part) * count / max(int(np.count_nonzero(grounds)), 1)
        return weights

    def _boxes(self, codes: Array, labels: Array, where: tuple[Array, ...]) -> float:
        """The loss of the objects' boxes; its gradient is left in the map's."""
        n, row, column = where
        if not len(n):
            return 0.0
        low, high = self._codes.bounds()
        off = np.clip(codes[n, :, row, column], low, high) - self._codes.targets(labels, where)
        slope = np.clip(off, -1, 1) if self.param.bb_smooth else off
        scale = self.param.get("lambda") / off.size
        self._diff[n, self._codes.classes :, row, column] = scale * slope
        return float(scale * (slope * off - slope**2 / 2).sum())

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(self._diff, top_diff[0], bottom_diff[0])

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: objects at some cells."""
        return self._codes.demanded(shape, rng) if index else None
