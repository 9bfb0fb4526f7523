"""RegionOutput: from YOLO v2's map to boxes of one image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.cell_loss import ReadsCells
from caffelite.layers.detection_output import REGION_FIELDS, DetectionOutputParameter
from caffelite.layers.finding import FindingLayer
from caffelite.layers.yolo_detection_output import apart, read_map
from caffelite.schema.common import Phase
from caffelite.schema.net import LayerParameter

PARAM = "detection_output_param"
_BOTH = (*REGION_FIELDS, "num_classes", "confidence_threshold")


@register
class RegionOutput(ReadsCells, FindingLayer):
    """A layer of type "DetectionOutput" with fields of YOLO v2's is this one: the boxes found in
    one image, one row each: 0, class from 0, score, centre x, y, width, height in parts of the
    image.

    Boxes and scores are those of YoloDetectionOutput. Boxes with a score of `confidence_threshold`
    (0.01) or more count. They stay in their order, cell by cell and anchor by anchor; one that
    overlaps an earlier one by `nms_threshold` or more is left out, be its score higher or not. If
    nothing is found, there is one row: 0, then six times -1.

    Gradient: none.
    Shapes: map (1, B·(5 + C), S, S); top (1, 1, number, 7), known after the pass only.
    Source: Redmon and Farhadi 2017, YOLO9000; gklz1982/caffe-yolov2.
    """

    extension = f'gklz1982/caffe-yolov2, there type "DetectionOutput", {PARAM} = 205'
    one_image = True
    param: DetectionOutputParameter = param_of(DetectionOutputParameter)
    idle: ClassVar[Mapping[str, str]] = {
        f"{PARAM}.{name}": "SSD's; beside fields of YOLO's it says nothing"
        for name in DetectionOutputParameter.specs
        if name not in _BOTH
    }
    cases = (
        Case(
            f'type: "RegionOutput" {PARAM} {{ num_classes: 2 num_box: 2 biases: 0.5 biases: 1 '
            "biases: 0.5 biases: 1 nms_threshold: 0.6 confidence_threshold: 0.3 }",
            # one cell of one; the second box is the better one, but shares 2/3 with the first
            {
                "map": np.array(
                    [
                        [0, 0, 0, 0, math.log(3), 0, math.log(3)],
                        [0, 0, 0, math.log(1.5), math.log(4), 0, math.log(3)],
                    ]
                ).reshape(1, 14, 1, 1)
            },
            {"y": [[[[0.0, 1.0, 0.75 * 0.75, 0.5, 0.5, 0.5, 1.0]]]]},
            phase=Phase.TEST,
        ),
        Case(
            f'type: "RegionOutput" {PARAM} {{ num_classes: 1 num_box: 1 biases: 1 biases: 1 '
            "confidence_threshold: 0.6 }",
            {"map": np.zeros((1, 6, 1, 1))},
            {"y": [[[[0.0] + [-1.0] * 6]]]},
            phase=Phase.TEST,
        ),
    )

    @classmethod
    def image_size(cls, spec: LayerParameter) -> tuple[int, int] | None:
        side = int(32 * spec.get(PARAM).side)
        return side, side

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.need(PARAM, "num_classes", expected="the number of classes")
        if len(p.biases) != 2 * p.num_box:
            self.fail(
                f"{len(p.biases)} biases for {p.num_box} anchors",
                PARAM,
                "biases",
                expected=f"{2 * p.num_box}, width and height of each",
            )
        self._least = p.confidence_threshold if p.has("confidence_threshold") else 0.01
        self._anchors = np.array(p.biases, self.dtype).reshape(-1, 2)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        shape, wanted = bottom[0], self.param.num_box * (5 + self.param.num_classes)
        if len(shape) != 4 or shape[:2] != (1, wanted) or shape[2] != shape[3]:
            said = f'bottom "{self.spec.bottom[0]}" is {show(shape)}'
            self.fail(said, "bottom", expected=f"1 x {wanted} x S x S")
        return [(1, 1, 1, 7)]

    def find(self, bottom: Arrays) -> list[np.ndarray]:
        p = self.param
        (found,) = read_map(bottom[0], self._anchors, p.num_classes)
        found = found[found[:, 1] >= self._least]
        found = found[apart(found[:, 2:], p.nms_threshold)]
        rows = np.zeros((max(len(found), 1), 7), found.dtype)
        rows[:, 1:] = found if len(found) else -1
        return [rows[None, None]]
