"""BoxGroupOutput: the regions that Cascade R-CNN's proposal network finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Shapes, param_of, register, show
from caffelite.layers.bbox_reg import ONE_SET, BBoxRegParameter
from caffelite.layers.cases import Case
from caffelite.layers.finding import shared, thinned
from caffelite.layers.map_boxes import MapBoxes
from caffelite.schema.common import Phase
from caffelite.schema.message import Message, field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "box_group_output_param"


class BoxGroupParameter(Message):
    """The fields of one map's cells."""

    field_h: list[int] = repeated(1, "uint32", least=1, doc="their heights")
    field_w: list[int] = repeated(2, "uint32", least=1, doc="their widths")
    stride: int = field(3, "uint32", default=1, least=1, doc="pixels a cell")


class BoxGroupOutputParameter(LayerMessage, field=PARAM, number=1158):
    """The fields of the maps, and which boxes are kept."""

    fg_thr: float = field(1, "float", default=0.0, doc="least score, 1 less the background's")
    iou_thr: float = field(2, "float", default=0.5, doc="overlap above which boxes are one")
    nms_type: str = field(3, "string", default="IOU", doc="IOU, IOMU or IOFU")
    box_group_param: list[BoxGroupParameter] = repeated(
        4, BoxGroupParameter, doc="one for each map"
    )
    field_whr: float = field(5, "float", default=2.0, above=0, doc="sides: at most so many fields")
    field_xyr: float = field(6, "float", default=2.0, above=0, doc="centres move by 1/it at most")
    max_nms_num: int = field(7, "uint32", default=0, doc="best boxes looked at; 0: all")
    max_post_nms_num: int = field(8, "uint32", default=0, doc="best boxes kept; 0: all")
    min_size: float = field(9, "float", default=15.0, doc="smaller boxes are left out")


@register
class BoxGroupOutput(MapBoxes):
    """At each cell of each map one box for each of its G fields. The codes (tx, ty, tw, th), times
    `bbox_std` plus `bbox_mean` (bbox_reg_param), move its centre from the cell's by tx and ty
    fields, at most 1/`field_xyr`; its sides are the field's times e^tw and e^th, `field_whr`
    at most and its inverse at least; it is cut to the image. Its score is 1 less the probability of
    class 0. Boxes with a score of `fg_thr` or more and sides of `min_size` or more are taken; of
    the `max_nms_num` best one that overlaps a better one by more than `iou_thr` is left out. At
    most `max_post_nms_num` of an image remain, best first. A box of x1 to x2 is x2 − x1 + 1 wide.

    Overlaps: intersection over union (IOU), over the smaller (IOMU), over the better (IOFU).

    Gradient: none.
    Shapes: bottoms in pairs, probabilities (N·G, C, H, W) and codes (N·G, 4, H, W). Tops: regions
    (R, 5, 1, 1), (image, x1, y1, x2, y2), and if named the same with the score (R, 6, 1, 1); R is
    known after the pass only. If nothing is found there is one region, (0, 1, 1, 10, 10), whose
    score's row is 0.
    Source: Cai and Vasconcelos 2018, Cascade R-CNN.
    """

    bottoms = (2, ANY)
    extension = f"Cascade R-CNN (zhaoweicai), there {PARAM} = 158"
    param: BoxGroupOutputParameter = param_of(BoxGroupOutputParameter)
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    idle: ClassVar[Mapping[str, str]] = ONE_SET
    cases = (
        Case(
            f'type: "BoxGroupOutput" {PARAM} {{ fg_thr: 0.5 min_size: 4 max_post_nms_num: 2 '
            "box_group_param { stride: 16 field_h: 8 field_w: 8 field_h: 16 field_w: 8 } }",
            # one cell with centre (8, 8), fields of 8 x 8 and 8 x 16 in an image of 16 x 16: 4..11
            # and 4..11 x 0..15, overlap 64/128; a second cell of the first field alone is good
            {
                "prob": np.array([0.4, 0.3, 0.6, 0.7, 0.1, 0.9, 0.9, 0.1]).reshape(2, 2, 1, 2),
                "codes": np.zeros((2, 4, 1, 2)),
            },
            {
                "rois": np.array([[0.0, 4.0, 0.0, 11.0, 15.0], [0.0, 20.0, 4.0, 27.0, 11.0]])[
                    :, :, None, None
                ],
                "scored": np.array(
                    [[0.0, 4.0, 0.0, 11.0, 15.0, 0.9], [0.0, 20.0, 4.0, 27.0, 11.0, 0.7]]
                )[:, :, None, None],
            },
            phase=Phase.TEST,
            note="the third box, of score 0.6, is one too many",
        ),
        Case(
            f'type: "BoxGroupOutput" {PARAM} {{ fg_thr: 0.5 iou_thr: 0.4 min_size: 4 '
            "box_group_param { stride: 16 field_h: 8 field_w: 8 field_h: 16 field_w: 8 } }",
            {
                "prob": np.array([0.4, 0.6, 0.1, 0.9]).reshape(2, 2, 1, 1),
                "codes": np.zeros((2, 4, 1, 1)),
            },
            {"rois": np.array([0.0, 4.0, 0.0, 11.0, 15.0]).reshape(1, 5, 1, 1)},
            phase=Phase.TEST,
        ),
        Case(
            f'type: "BoxGroupOutput" {PARAM} {{ fg_thr: 0.5 '
            "box_group_param { stride: 16 field_h: 8 field_w: 8 } }",
            {"prob": np.ones((1, 2, 1, 1)), "codes": np.zeros((1, 4, 1, 1))},
            {"rois": np.array([0.0, 1.0, 1.0, 10.0, 10.0]).reshape(1, 5, 1, 1)},
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, groups = self.param, self.param.box_group_param
        if len(bottom) != 2 * len(groups):
            self.fail(
                f"{len(bottom)} bottoms for {len(groups)} box_group_param",
                PARAM,
                "box_group_param",
                expected="one for each pair of bottoms",
            )
        if any(len(g.field_h) != len(g.field_w) or not g.field_h for g in groups):
            self.fail(
                "a box_group_param has not as many field_h as field_w",
                PARAM,
                "box_group_param",
                expected="one of each for each field",
            )
        if p.nms_type not in ("IOU", "IOMU", "IOFU"):
            self.fail(
                f'nms_type is "{p.nms_type}"', PARAM, "nms_type", expected="IOU, IOMU or IOFU"
            )
        super().setup(bottom)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        for i, group in enumerate(self.param.box_group_param):
            prob, codes = bottom[2 * i : 2 * i + 2]
            whole = len(prob) == 4 and len(codes) == 4 and codes[1] == 4
            if not whole or (prob[0], *prob[2:]) != (codes[0], *codes[2:]):
                self.fail(
                    f'bottom "{self.spec.bottom[2 * i]}" is {show(prob)}, '
                    f'"{self.spec.bottom[2 * i + 1]}" is {show(codes)}',
                    "bottom",
                    index=2 * i,
                    expected="N·G x C x H x W, then N·G x 4 x H x W",
                )
            count = len(group.field_h)
            if prob[0] % count or prob[0] // count != bottom[0][0] // self._fields(0):
                self.fail(
                    f'bottom "{self.spec.bottom[2 * i]}" is {show(prob)}, with {count} fields',
                    "bottom",
                    index=2 * i,
                    expected="the same images in each map, a field after the other",
                )
        return self.shapes(1)

    def _fields(self, number: int) -> int:
        return len(self.param.box_group_param[number].field_h)

    def _boxes(self, prob: Array, codes: Array, number: int) -> Array:
        """(boxes, 5): corners and score of one image's map, field by field, cell by cell."""
        p = self.param
        group = p.box_group_param[number]
        fields = np.array([group.field_w, group.field_h], self.dtype).T[:, :, None, None]
        height, width = prob.shape[2:]
        t = codes * self._std[:, None, None] + self._mean[:, None, None]
        half = self.dtype.type(0.5)
        column, row = (np.arange(n, dtype=self.dtype) + half for n in (width, height))
        cells = np.stack(np.broadcast_arrays(column, row[:, None])) * group.stride
        move, grow = 1 / p.field_xyr, math.log(p.field_whr)
        size = fields * np.exp(np.clip(t[:, 2:], -grow, grow))
        start = np.clip(t[:, :2], -move, move) * fields + cells - size / 2
        limits = np.array([width, height], self.dtype)[:, None, None] * group.stride
        end = np.minimum(start + size - 1, limits)
        start = np.maximum(start, 0)
        score = 1 - prob[:, 0]
        good = (score >= p.fg_thr) & (end - start + 1 >= p.min_size).all(1)
        rows = np.concatenate([start, end, score[:, None]], 1)
        found: Array = rows.transpose(0, 2, 3, 1)[good]
        return found

    def _thinned(self, boxes: Array) -> Array:
        p = self.param
        boxes = self.best(boxes, p.max_nms_num)

        def apart(best: int, others: Array) -> Array:
            stay: Array = shared(boxes[best], boxes[others], p.nms_type) <= p.iou_thr
            return stay

        return boxes[thinned(len(boxes), apart, p.max_post_nms_num or None)]

    def find(self, bottom: Arrays) -> list[Array]:
        found = []
        for image in range(len(bottom[0]) // self._fields(0)):
            maps = []
            for i in range(len(bottom) // 2):
                own = slice(image * self._fields(i), (image + 1) * self._fields(i))
                maps.append(self._boxes(bottom[2 * i][own], bottom[2 * i + 1][own], i))
            found.append(self._thinned(np.concatenate(maps)))
        return self.regions(found)
