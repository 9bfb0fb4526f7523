"""YoloDetectionOutput: from YOLO v2's maps to detections."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.cell_loss import overlap
from caffelite.layers.finding import FindingLayer, thinned
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

    # listenlink's fork
    visualize: bool = field(9, "bool", default=False, idle="no picture is shown")
    visualize_threshold: float = field(10, "float", default=0.4, idle="no picture is shown")
    save_file: str = field(11, "string", idle="no video is written")
    ssd_format: bool = field(
        12, "bool", default=False, doc="image by image: corners, and classes from 1?"
    )


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

    With a second bottom that is no map (the images, which are not looked at), or with `ssd_format`,
    it is the layer of listenlink's fork: boxes are thinned out image by image, and a row has its
    image's number; without `ssd_format` it has the class from 0, and the centre and the size in
    place of the corners. If nothing is found there are no rows. Of a map with more than C classes
    the first C count.

    Gradient: none.
    Shapes: one or two maps (N, B·(5 + C), S, S); top (1, 1, detections, 7), known after the pass
    only.
    Source: Redmon and Farhadi 2017, YOLO9000; eric612/MobileNet-YOLO; listenlink/caffe.
    """

    bottoms = (1, 2)
    extension = f"YOLO forks: eric612/MobileNet-YOLO, {PARAM} = 601; listenlink/caffe, there 204"
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
        *(
            Case(
                f'type: "YoloDetectionOutput" {PARAM} {{ num_classes: 1 num_box: 1 biases: 0.5 '
                f"biases: 1 confidence_threshold: 0.3 ssd_format: {word} }}",
                # the second class is not looked at; the first image has nothing
                {
                    "map": np.array([[0, 0, 0, 0, -5, 0, 9], [0, 0, 0, 0, 0, 0, 9.0]]).reshape(
                        2, 7, 1, 1
                    ),
                    "data": np.zeros((2, 3, 4, 4)),
                },
                {"y": [[[[1.0, *row]]]]},
                phase=Phase.TEST,
            )
            for word, row in (
                ("false", (0, 0.5, 0.5, 0.5, 0.5, 1)),
                ("true", (1, 0.5, 0.25, 0, 0.75, 1)),
            )
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
        p = self.param
        boxes, wanted = p.num_box, p.num_box * (5 + p.num_classes)
        second = bottom[-1][:2] == (bottom[0][0], wanted)
        self._by_image = p.ssd_format or not second
        if self._by_image and len(bottom[0]) == 4 and bottom[0][1] % boxes == 0:
            wanted = max(wanted, bottom[0][1])  # the fork passes over classes that it has too many
        for i, shape in enumerate(bottom[:1] if self._by_image else bottom):
            if len(shape) != 4 or shape[1] != wanted or shape[2] != shape[3]:
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=f"N x {wanted} x S x S",
                )
        return [(1, 1, 1, 7)]

    def find(self, bottom: Arrays) -> list[Array]:
        p = self.param
        maps = bottom[:1] if self._by_image else bottom
        read = [read_map(x, self._anchors, p.num_classes) for x in maps]
        found = [image[image[:, 1] >= p.confidence_threshold] for x in read for image in x]
        if not self._by_image:
            boxes = _corners(np.concatenate(found))
            return [detections(boxes, p.nms_threshold, len(bottom[0]))[None, None]]
        rows = []
        for n, boxes in enumerate(found):
            boxes = boxes[np.argsort(-boxes[:, 1], kind="stable")]
            boxes = boxes[apart(boxes[:, 2:], p.nms_threshold)]
            boxes = _corners(boxes) if p.ssd_format else boxes
            rows.append(np.concatenate([np.full((len(boxes), 1), n, boxes.dtype), boxes], 1))
        return [np.concatenate(rows)[None, None]]


def read_map(maps: Array, anchors: Array, classes: int) -> Array:
    """(N, S·S·B, 6): class from 0, score, centre and size of every box, cell by cell, anchor by
    anchor. Values of a box behind the classes are not looked at."""
    images, channels, side, _ = maps.shape
    t = maps.reshape(images, len(anchors), channels // len(anchors), side, side)
    with np.errstate(over="ignore"):
        s = 1 / (1 + np.exp(-t[:, :, (0, 1, 4)]))
    cells = np.arange(side, dtype=maps.dtype)
    x, y = (s[:, :, 0] + cells) / side, (s[:, :, 1] + cells[:, None]) / side
    w = np.exp(t[:, :, 2]) * (anchors[:, 0] / side)[:, None, None]
    h = np.exp(t[:, :, 3]) * (anchors[:, 1] / side)[:, None, None]
    kinds = t[:, :, 5 : 5 + classes]
    above = np.exp(kinds - kinds.max(2, keepdims=True))
    score = s[:, :, 2] * above.max(2) / above.sum(2)
    rows = np.stack([kinds.argmax(2).astype(maps.dtype), score, x, y, w, h], -1)
    result: Array = rows.transpose(0, 2, 3, 1, 4).reshape(images, -1, 6)
    return result


def apart(boxes: Array, threshold: float) -> list[int]:
    """Which boxes, centre and size, are left if one that overlaps an earlier one that stays by the
    threshold or more is left out."""

    def stays(box: int, others: Array) -> Array:
        free: Array = overlap(boxes[others], boxes[box]) < threshold
        return free

    return thinned(len(boxes), stays)


def _corners(rows: Array) -> Array:
    """Classes from 1, and corners."""
    half = rows[:, 4:] / 2
    return np.concatenate(
        [rows[:, :1] + 1, rows[:, 1:2], rows[:, 2:4] - half, rows[:, 2:4] + half], 1
    )
