"""DecodeBBox: regions moved and stretched by what a net says of them, for the next stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.bbox_reg import ONE_SET, BBoxRegParameter, normal
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "decode_bbox_param"


class DecodeBBoxParameter(LayerMessage, field=PARAM, number=1155):
    """Which regions are left out in training."""

    gt_iou_thr: float = field(
        1,
        "float",
        default=0.95,
        doc="in TRAIN: an object's overlap from which a region is left out",
    )


@register
class DecodeBBox(FindingLayer):
    """Of a region (x1, y1, x2, y2) with centre (cx, cy) and sides w = x2 − x1 + 1 and h, and the
    codes (tx, ty, tw, th) of class 1, the box of centre (cx + tx·w, cy + ty·h) and sides w·e^tw
    and h·e^th. With bbox_reg_param the codes are first times `bbox_std` plus `bbox_mean`.

    In phase TRAIN boxes that end before they start are left out, and with a third bottom those
    whose region overlaps its object (the last value of a row) by `gt_iou_thr` or more.

    Gradient: none.
    Shapes: codes (R, 8, …), two classes of four; regions (R, 5, …), (image, x1, y1, x2, y2);
    objects (R, D, …); top (K, 5, 1, 1), K is R in phase TEST.
    Source: Cai and Vasconcelos 2018, Cascade R-CNN.
    """

    bottoms = (2, 3)
    extension = f"Cascade R-CNN and MS-CNN (zhaoweicai), there {PARAM} = 155"
    param: DecodeBBoxParameter = param_of(DecodeBBoxParameter)
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    idle: ClassVar[Mapping[str, str]] = ONE_SET
    cases = (
        Case(
            'type: "DecodeBBox" bbox_reg_param { bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 '
            "bbox_mean: 0 bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }",
            # 10 x 20 about (4.5, 9.5), moved by (0.1·10, -0.2·20)
            {
                "codes": [[9.0, 9.0, 9.0, 9.0, 1.0, -2.0, 0.0, 0.0]],
                "rois": [[3.0, 0.0, 0.0, 9.0, 19.0]],
            },
            {"boxes": [[[[3.0]], [[1.0]], [[-4.0]], [[10.0]], [[15.0]]]]},
            phase=Phase.TEST,
        ),
        Case(
            'type: "DecodeBBox"',
            {
                "codes": [[0.0] * 8, [0.0] * 8, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -9.0, 0.0]],
                "rois": [[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 9.0, 9.0], [0.0] * 5],
                "objects": [[0.5], [0.96], [0.0]],
            },
            {"boxes": [[[[0.0]], [[1.0]], [[2.0]], [[3.0]], [[4.0]]]]},
            note="the second overlaps its object, the third ends before it starts",
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self._mean, self._std = (a.astype(self.dtype) for a in normal(self, self.reg))
        if len(bottom) > 2 and self.phase != Phase.TRAIN:
            self.fail("a third bottom is for phase TRAIN", "bottom", index=2, expected="two")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        for i, (shape, size) in enumerate(zip(bottom, (8, 5, None))):
            if len(shape) < 2 or shape[0] != bottom[0][0] or (size and shape[1] != size):
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=f"{bottom[0][0] if bottom[0] else 'R'} x {size or 'D'}",
                )
        return [(bottom[1][0], 5, 1, 1)]

    def find(self, bottom: Arrays) -> list[Array]:
        codes, rois = bottom[0].reshape(-1, 8)[:, 4:], bottom[1].reshape(-1, 5)
        t = codes * self._std + self._mean
        size = rois[:, 3:] - rois[:, 1:3] + 1
        middle = (rois[:, 3:] + rois[:, 1:3]) / 2 + t[:, :2] * size
        size = size * np.exp(t[:, 2:])
        start = middle - (size - 1) / 2
        boxes = np.concatenate([rois[:, :1], start, start + size - 1], 1)
        if self.phase == Phase.TRAIN:
            good = (boxes[:, 1:3] <= boxes[:, 3:]).all(1)
            if len(bottom) > 2:
                good &= bottom[2].reshape(len(rois), -1)[:, -1] < self.param.gt_iou_thr
            boxes = boxes[good]
            if not len(boxes):
                self.fail("no region is left", expected="one at least, as in the fork")
        return [boxes[:, :, None, None]]
