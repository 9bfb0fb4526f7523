"""YoloDetectionOutput: from YOLO v2's maps to detections."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.layers.yolov3_detection_output import detections
from caffelite.schema.common import Phase
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "yolo_detection_output_param"


class YoloDetectionOutputParameter(LayerMessage, field=PARAM, number=601):
    """Anchors, and which boxes are kept."""

    side: int = field(1, "uint32", default=13, idle="the map says it")
    num_classes: int = field(2, "uint32", required=True, least=1, doc="number of classes C")
    num_box: int = field(3, "uint32", default=5, least=1, doc="anchors B of a cell")
    coords: int = field(
        4, "uint32", default=4, least=4, most=4, doc="values of a box: 4", idle="it is always 4"
    )
    confidence_threshold: float = field(5, "float", default=0.01, doc="least score of a box")
    nms_threshold: float = field(
        6, "float", default=0.45, least=0, doc="overlap from which boxes are one"
    )
    biases: list[float] = repeated(
        7, "float", above=0, doc="width, height of each anchor, in cells"
    )
    label_map_file: str = field(8, "string", idle="names of classes are not shown")


@register
class YoloDetectionOutput(FindingLayer):
    """The boxes that YOLO v2 finds, one row each: image, class from 1, score, x1, y1, x2, y2 in
    parts of the image.

    The map has for each of B anchors (w, h) the channels tx, ty, tw, th, to and C of classes. At
    cell (i, j) of S x S: centre ((j + σ(tx))/S, (i + σ(ty))/S), size (w·e^tw/S, h·e^th/S); the box
    is of the class with the highest softmax probability p, and its score is σ(to)·p. Boxes with a
    score of `confidence_threshold` or more count, of all images and of a second map alike; best
    first, one that overlaps a better one by `nms_threshold` or more is left out. As in the fork
    boxes of different classes count too, and the image is always 0, so the batch should be 1.

    If nothing is found, there is one row for each image: its number, then six times -1.

    Gradient: none.
    Shapes: one or two maps (N, B·(5 + C), S, S); top (1, 1, detections, 7), known after the pass
    only.
    Source: Redmon and Farhadi 2017, YOLO9000; eric612/MobileNet-YOLO.
    """

    bottoms = (1, 2)
    extension = f"YOLO fork (eric612/MobileNet-YOLO), {PARAM} = 601"
    param: YoloDetectionOutputParameter = param_of(YoloDetectionOutputParameter)
    cases = (
        Case(
            f'type: "YoloDetectionOutput" {PARAM} {{ num_classes: 2 num_box: 1 biases: 0.5 '
            "biases: 1 confidence_threshold: 0.3 }",
            # one cell of one: centre (0.5, 0.5), 0.5 wide, 2 high; classes 1/4 and 3/4
            {
                "map": np.array([0, 0, 0, math.log(2), math.log(4), 0, math.log(3)]).reshape(
                    1, 7, 1, 1
                )
            },
            {"y": [[[[0.0, 2.0, 0.8 * 0.75, 0.25, -0.5, 0.75, 1.5]]]]},
            phase=Phase.TEST,
        ),
        Case(
            f'type: "YoloDetectionOutput" {PARAM} {{ num_classes: 1 num_box: 1 biases: 1 '
            "biases: 1 confidence_threshold: 0.6 }",
            {"map": np.zeros((2, 6, 1, 1))},
            {"y": [[[[0.0] + [-1.0] * 6, [1.0] + [-1.0] * 6]]]},
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if len(p.biases) != 2 * p.num_box:
            self.fail(
                f"{len(p.biases)} biases for {p.num_box} anchors",
                PARAM,
                "biases",
                expected=f"{2 * p.num_box}, width and height of each",
            )
        self._anchors = np.array(p.biases, self.dtype).reshape(-1, 2)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        wanted = self.param.num_box * (5 + self.param.num_classes)
        for i, shape in enumerate(bottom):
            if len(shape) != 4 or shape[1] != wanted or shape[2] != shape[3]:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=f"N x {wanted} x S x S",
                )
        return [(1, 1, 1, 7)]

    def _boxes(self, maps: Array) -> Array:
        """(boxes, 6): class, score, corners of all that score high enough on one map."""
        images, _, side, _ = maps.shape
        t = maps.reshape(images, self.param.num_box, -1, side, side)
        with np.errstate(over="ignore"):
            s = 1 / (1 + np.exp(-t[:, :, (0, 1, 4)]))
        cells = np.arange(side, dtype=self.dtype)
        x, y = (s[:, :, 0] + cells) / side, (s[:, :, 1] + cells[:, None]) / side
        w = np.exp(t[:, :, 2]) * (self._anchors[:, 0] / side)[:, None, None] / 2
        h = np.exp(t[:, :, 3]) * (self._anchors[:, 1] / side)[:, None, None] / 2
        classes = t[:, :, 5:]
        above = np.exp(classes - classes.max(2, keepdims=True))
        score = s[:, :, 2] * above.max(2) / above.sum(2)
        kind = (classes.argmax(2) + 1).astype(self.dtype)
        # cell by cell, anchor by anchor: the order of equal scores
        rows = np.stack([kind, score, x - w, y - h, x + w, y + h], -1).transpose(0, 2, 3, 1, 4)
        found: Array = rows[rows[..., 1] >= self.param.confidence_threshold]
        return found

    def find(self, bottom: Arrays) -> list[Array]:
        found = np.concatenate([self._boxes(maps) for maps in bottom])
        rows = detections(found, self.param.nms_threshold, len(bottom[0]))
        return [rows[None, None]]
