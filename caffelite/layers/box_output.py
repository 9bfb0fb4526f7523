"""BoxOutput: the regions that MS-CNN's proposal network finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Shapes, param_of, register, show
from caffelite.layers.bbox_reg import ONE_SET, BBoxRegParameter
from caffelite.layers.cases import Case
from caffelite.layers.finding import thinned
from caffelite.layers.map_boxes import MapBoxes
from caffelite.schema.common import Phase
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "box_output_param"


class BoxOutputParameter(LayerMessage, field=PARAM, number=1151):
    """The fields of the maps, and which boxes are kept."""

    fg_thr: float = field(1, "float", default=0.0, doc="best class's score less the background's")
    iou_thr: float = field(2, "float", default=0.5, doc="overlap above which boxes are one")
    nms_type: str = field(3, "string", default="IOU", doc="IOU, IOFMAX or IOFMIN")
    field_h: list[int] = repeated(4, "uint32", least=1, doc="height of each map's field")
    field_w: list[int] = repeated(5, "uint32", least=1, doc="width of each map's field")
    downsample_rate: list[int] = repeated(6, "uint32", least=1, doc="pixels a cell of each map")
    field_whr: float = field(7, "float", default=2.0, above=0, doc="sides: at most so many fields")
    field_xyr: float = field(8, "float", default=2.0, above=0, doc="centres move by 1/it at most")
    max_nms_num: int = field(9, "uint32", default=0, doc="best boxes looked at; 0: all")
    max_post_nms_num: int = field(10, "uint32", default=0, doc="best boxes kept; 0: all")
    min_size: float = field(11, "float", default=15.0, doc="smaller boxes are left out")


@register
class BoxOutput(MapBoxes):
    """At each cell of each map one box. Its centre is the cell's, moved by (tx, ty) fields, at most
    1/`field_xyr`; its size the field's times e^tw and e^th, at most `field_whr` and at least its
    inverse; it is cut to the image. Its score is the highest class's less the background's, which
    is class 0. Of those with a score of `fg_thr` or more and sides of `min_size` or more the
    `max_nms_num` best are thinned out: one that overlaps a better one by more than `iou_thr` is
    left out. At most `max_post_nms_num` remain, best first. With bbox_reg_param the codes are
    first times `bbox_std` plus `bbox_mean`.

    Overlaps: intersection over union; IOFMAX, over the larger of the two; IOFMIN, over the smaller.

    Gradient: none.
    Shapes: maps (N, C + 4, H, W). Tops: regions (R, 5, 1, 1), (image, x1, y1, x2, y2), and if named
    the same with the score (R, 6, 1, 1); R is known after the pass only. If nothing is found there
    is one region, (0, 1, 1, 10, 10), whose score's row is 0.
    Source: Cai et al. 2016, MS-CNN. box_output_param is 151 in zhaoweicai/mscnn, a number of other
    meanings in other forks.
    """

    bottoms = (1, ANY)
    extension = f"MS-CNN fork (zhaoweicai/mscnn), there {PARAM} = 151"
    param: BoxOutputParameter = param_of(BoxOutputParameter)
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    idle: ClassVar[Mapping[str, str]] = ONE_SET
    cases = (
        Case(
            f'type: "BoxOutput" {PARAM} {{ field_h: 20 field_w: 20 downsample_rate: 16 '
            "min_size: 4 }",
            # two cells, centres (8, 8) and (24, 8), fields of 20 x 20 in an image of 32 x 16: 0..18
            # and 14..32; scores 1 and 3; overlap 4/32
            {"map": np.array([0, 1, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0.0]).reshape(1, 6, 1, 2)},
            {
                "rois": np.array(
                    [[0.0, 14.0, 0.0, 32.0, 16.0], [0.0, 0.0, 0.0, 20.0, 16.0]]
                ).reshape(2, 5, 1, 1),
                "scored": np.array(
                    [[0.0, 14.0, 0.0, 32.0, 16.0, 3.0], [0.0, 0.0, 0.0, 20.0, 16.0, 1.0]]
                ).reshape(2, 6, 1, 1),
            },
            phase=Phase.TEST,
        ),
        Case(
            f'type: "BoxOutput" {PARAM} {{ field_h: 20 field_w: 20 downsample_rate: 16 '
            "fg_thr: 9 }",
            {"map": np.zeros((1, 6, 1, 1))},
            {"rois": np.array([0.0, 1.0, 1.0, 10.0, 10.0]).reshape(1, 5, 1, 1)},
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        for name in ("field_h", "field_w", "downsample_rate"):
            if len(self.param.get(name)) != len(bottom):
                self.fail(
                    f"{len(self.param.get(name))} {name} for {len(bottom)} bottoms",
                    PARAM,
                    name,
                    expected="one for each bottom",
                )
        if self.param.nms_type not in ("IOU", "IOFMAX", "IOFMIN"):
            self.fail(
                f'nms_type is "{self.param.nms_type}"',
                PARAM,
                "nms_type",
                expected="IOU, IOFMAX or IOFMIN",
            )
        super().setup(bottom)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        for i, shape in enumerate(bottom):
            if len(shape) != 4 or shape[1] < 6 or shape[0] != bottom[0][0]:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected="N x (C + 4) x H x W, with two classes C or more",
                )
        return self.shapes(1)

    def _boxes(self, values: Array, number: int) -> Array:
        """(boxes, 5): x, y, width, height, score of one image's map, cell by cell."""
        p = self.param
        rate, classes = p.downsample_rate[number], len(values) - 4
        field_w, field_h = p.field_w[number], p.field_h[number]
        height, width = values.shape[1:]
        x, y, w, h = values[classes:] * self._std[:, None, None] + self._mean[:, None, None]
        score = values[1:classes].max(0) - values[0]
        half = self.dtype.type(0.5)
        move, grow = 1 / p.field_xyr, math.log(p.field_whr)
        column, row = (np.arange(n, dtype=self.dtype) + half for n in (width, height))
        x = np.clip(x, -move, move) * field_w + column * rate
        y = np.clip(y, -move, move) * field_h + row[:, None] * rate
        w, h = (np.exp(np.clip(s, -grow, grow)) * f for s, f in ((w, field_w), (h, field_h)))
        x, y = np.maximum(x - w / 2, 0), np.maximum(y - h / 2, 0)
        w, h = np.minimum(w, width * rate - x), np.minimum(h, height * rate - y)
        good = (score >= p.fg_thr) & (w >= p.min_size) & (h >= p.min_size)
        return np.stack([a[good] for a in (x, y, w, h, score)], 1)

    def _thinned(self, boxes: Array) -> Array:
        p = self.param
        boxes = self.best(boxes, p.max_nms_num)

        def apart(best: int, others: Array) -> Array:
            a, b = boxes[best], boxes[others]
            sides = np.minimum(a[:2] + a[2:4], b[:, :2] + b[:, 2:4]) - np.maximum(a[:2], b[:, :2])
            both = np.prod(np.clip(sides, 0, None), 1)
            areas = a[2] * a[3], b[:, 2] * b[:, 3]
            whole = {
                "IOU": areas[0] + areas[1] - both,
                "IOFMAX": np.maximum(*areas),
                "IOFMIN": np.minimum(*areas),
            }[p.nms_type]
            stay: Array = both <= p.iou_thr * whole
            return stay

        return boxes[thinned(len(boxes), apart, p.max_post_nms_num or None)]

    def find(self, bottom: Arrays) -> list[Array]:
        found = []
        for image in range(len(bottom[0])):
            maps = [b[image] for b in bottom]
            boxes = self._thinned(np.concatenate([self._boxes(m, i) for i, m in enumerate(maps)]))
            boxes[:, 2:4] += boxes[:, :2]
            found.append(boxes)
        return self.regions(found)
