"""Yolov3DetectionOutput: from YOLO v3's maps to detections."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer, thinned
from caffelite.schema.common import Phase
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "yolov3_detection_output_param"


class Yolov3DetectionOutputParameter(LayerMessage, field=PARAM, number=602):
    """Anchors, and which boxes are kept."""

    num_classes: int = field(1, "uint32", required=True, least=1, doc="number of classes C")
    num_box: int = field(2, "uint32", default=3, least=1, doc="anchors B of each map")
    confidence_threshold: float = field(3, "float", default=0.01, doc="only scores above it count")
    nms_threshold: float = field(
        4, "float", default=0.45, least=0, doc="overlap from which boxes are one"
    )
    biases: list[float] = repeated(5, "float", above=0, doc="width, height of all anchors, pixels")
    anchors_scale: list[int] = repeated(6, "uint32", least=1, doc="pixels a cell, of each map")
    mask_group_num: int = field(7, "uint32", default=2, least=1, doc="number of maps")
    mask: list[int] = repeated(8, "uint32", doc="which anchors each map has, map by map")
    gaussian_box: bool = field(9, "bool", default=False, doc="boxes with uncertainty; refused here")


def detections(found: Array, threshold: float, images: int) -> Array:
    """Rows (0, class, score, corners) of (boxes, 6), best first, less what overlaps a better one by
    `threshold` or more; if there are none a row for each image, its number and six times -1."""
    found = found[np.argsort(-found[:, 1], kind="stable")]

    def apart(best: int, others: Array) -> Array:
        a, b = found[best, 2:], found[others, 2:]
        sides = np.minimum(a[2:], b[:, 2:]) - np.maximum(a[:2], b[:, :2])
        both = np.prod(np.clip(sides, 0, None), 1)
        union = np.prod(a[2:] - a[:2]) + np.prod(b[:, 2:] - b[:, :2], 1) - both
        stay: Array = both < threshold * union
        return stay

    kept = thinned(len(found), apart)
    if kept:
        return np.concatenate([np.zeros((len(kept), 1), found.dtype), found[kept]], 1)
    nothing = np.full((images, 7), -1, found.dtype)
    nothing[:, 0] = np.arange(images)
    return nothing


@register
class Yolov3DetectionOutput(FindingLayer):
    """The boxes that YOLO v3 finds, one row each: image, class from 1, score, x1, y1, x2, y2 in
    parts of the image.

    Each map has for each of its B anchors (w, h) the channels tx, ty, tw, th, to and C of classes.
    At cell (i, j) of W x H cells of s pixels: centre ((j + σ(tx))/W, (i + σ(ty))/H), size
    (e^tw·w/(s·W), e^th·h/(s·H)); the score of class c is σ(to)·σ(tc). All scores above
    `confidence_threshold` are boxes, of all maps, images and classes together; best first, one that
    overlaps a better one by `nms_threshold` or more is left out. As in the fork boxes of different
    classes count too, and the image is always 0, so the batch should be 1.

    If nothing is found, there is one row for each image: its number, then six times -1.

    Gradient: none.
    Shapes: maps (N, B·(5 + C), H, W); top (1, 1, detections, 7), known after the pass only.
    Source: Redmon and Farhadi 2018, YOLOv3; eric612/MobileNet-YOLO.
    """

    bottoms = (1, ANY)
    extension = f"YOLO v3 fork (eric612/MobileNet-YOLO), {PARAM} = 602"
    param: Yolov3DetectionOutputParameter = param_of(Yolov3DetectionOutputParameter)
    cases = (
        Case(
            f'type: "Yolov3DetectionOutput" {PARAM} {{ num_classes: 1 num_box: 1 biases: 8 '
            "biases: 16 mask: 0 mask_group_num: 1 anchors_scale: 16 confidence_threshold: 0.3 }",
            # two cells of 16 pixels: centres (0.25, 0.5) and (0.75, 0.5); 8/32 wide, 16/16 high;
            # the second is twice as wide, and scores 0.5·0.5, below the threshold
            {
                "map": np.array(
                    [0, 0, 0, 0, 0, math.log(2), 0, 0, math.log(3), 0, math.log(4), 0.0]
                ).reshape(1, 6, 1, 2)
            },
            {"y": [[[[0.0, 1.0, 0.75 * 0.8, 0.125, 0.0, 0.375, 1.0]]]]},
            phase=Phase.TEST,
        ),
        Case(
            f'type: "Yolov3DetectionOutput" {PARAM} {{ num_classes: 1 num_box: 1 biases: 8 '
            "biases: 16 mask: 0 mask_group_num: 1 anchors_scale: 16 confidence_threshold: 0.3 }",
            {"map": np.zeros((2, 6, 1, 1))},
            {"y": [[[[0.0] + [-1.0] * 6, [1.0] + [-1.0] * 6]]]},
            phase=Phase.TEST,
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, maps = self.param, len(bottom)
        if p.gaussian_box:
            self.fail("gaussian_box is not built in", PARAM, "gaussian_box", expected="false")
        for name, wanted in (("anchors_scale", maps), ("mask", maps * p.num_box)):
            if len(p.get(name)) != wanted:
                self.fail(
                    f"{len(p.get(name))} {name} for {maps} maps of {p.num_box} anchors",
                    PARAM,
                    name,
                    expected=str(wanted),
                )
        if len(p.biases) % 2 or any(2 * m + 1 >= len(p.biases) for m in p.mask):
            self.fail(
                f"mask goes up to {max(p.mask)}, but there are {len(p.biases)} biases",
                PARAM,
                "mask",
                expected="two biases, width and height, for each anchor",
            )
        if p.mask_group_num != maps:
            self.fail(
                f"mask_group_num is {p.mask_group_num}, but there are {maps} bottoms",
                PARAM,
                "mask_group_num",
                expected=str(maps),
            )
        every = np.array(p.biases, self.dtype).reshape(-1, 2)
        self._anchors = every[p.mask].reshape(maps, p.num_box, 2)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        wanted = self.param.num_box * (5 + self.param.num_classes)
        for i, shape in enumerate(bottom):
            if len(shape) != 4 or shape[1] != wanted or shape[0] != bottom[0][0]:
                name = self.spec.bottom[i]
                self.fail(
                    f'bottom "{name}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=f"{bottom[0][0]} x {wanted} x H x W",
                )
        return [(1, 1, 1, 7)]

    def _boxes(self, maps: Array, anchors: Array, scale: int) -> Array:
        """(boxes, 6): class, score, corners of all that score high enough on one map."""
        images, _, height, width = maps.shape
        t = maps.reshape(images, len(anchors), -1, height, width)
        with np.errstate(over="ignore"):
            s = 1 / (1 + np.exp(-t))
        x = (s[:, :, 0] + np.arange(width, dtype=self.dtype)) / width
        y = (s[:, :, 1] + np.arange(height, dtype=self.dtype)[:, None]) / height
        w = np.exp(t[:, :, 2]) * (anchors[:, 0] / (scale * width))[:, None, None] / 2
        h = np.exp(t[:, :, 3]) * (anchors[:, 1] / (scale * height))[:, None, None] / 2
        score = s[:, :, 4:5] * s[:, :, 5:]
        # cell by cell, anchor by anchor, class by class: the order of equal scores
        n, i, j, b, c = np.nonzero(score.transpose(0, 3, 4, 1, 2) > self.param.confidence_threshold)
        at = (n, b, i, j)
        corners = x[at] - w[at], y[at] - h[at], x[at] + w[at], y[at] + h[at]
        return np.stack([(c + 1).astype(self.dtype), score[n, b, c, i, j], *corners], 1)

    def find(self, bottom: Arrays) -> list[Array]:
        found = np.concatenate(
            [
                self._boxes(maps, anchors, scale)
                for maps, anchors, scale in zip(bottom, self._anchors, self.param.anchors_scale)
            ]
        )
        rows = detections(found, self.param.nms_threshold, len(bottom[0]))
        return [rows[None, None]]
