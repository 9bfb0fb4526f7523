"""YoloDetectionOutput and Yolov3DetectionOutput: boxes of maps, as NonMaxSuppression keeps them.

It leaves out what overlaps by more than its threshold, these layers what overlaps by the threshold
or more: so its threshold is the float32 before theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx.out.place import Place, Unsayable, says
from caffelite.onnx.out.thinning import MANY, below, columns, or_nothing


@says("Yolov3DetectionOutput")
def yolov3(layer: Any, at: Place) -> None:
    p = layer.param
    parts = []
    for i, (anchors, scale) in enumerate(zip(layer._anchors, p.anchors_scale)):
        parts.append(_maps(layer, at, i, np.float32(anchors), np.float32(scale)))
    _found(layer, at, parts, float(np.float32(p.confidence_threshold)))


def _maps(layer: Any, at: Place, number: int, anchors: Any, scale: Any) -> list[str]:
    """Corners (boxes, 4), scores and classes (boxes, 1) of one map of YOLO v3's."""
    p, (_, _, height, width) = layer.param, layer.bottom_shapes[number]
    count, classes = len(anchors), p.num_classes
    t = _cell_by_cell(at, number, count, 5 + classes, height, width)
    place, grow, *rest = columns(at, t, 4, 2, 2, 1, classes)
    size = np.array([width, height], np.float32)
    corners = _corners(at, place, grow, anchors / (scale * size), height, width)
    object_, kinds = (at.op("Sigmoid", x) for x in rest)
    scores = at.op("Mul", object_, kinds)  # (N, H, W, B, C)
    every = at.op("Expand", at.op("Unsqueeze", corners, np.array([4])), [1, 1, 1, 1, classes, 1])
    numbers = np.arange(1, classes + 1, dtype=np.float32)
    names = at.op("Expand", numbers, at.op("Shape", scores))
    return [
        at.op("Reshape", every, [-1, 4]),
        at.op("Reshape", scores, [-1, 1]),
        at.op("Reshape", names, [-1, 1]),
    ]


@says("YoloDetectionOutput")
def yolo(layer: Any, at: Place) -> None:
    p = layer.param
    if layer._by_image:
        raise Unsayable("its boxes are thinned out image by image, as in listenlink's fork")
    parts = []
    for i, (_, _, side, _) in enumerate(layer.bottom_shapes):
        t = _cell_by_cell(at, i, p.num_box, 5 + p.num_classes, side, side)
        place, grow, object_, kinds = columns(at, t, 4, 2, 2, 1, p.num_classes)
        anchors = np.float32(layer._anchors) / np.float32(side)
        corners = _corners(at, place, grow, anchors, side, side)
        best = at.reduce("ReduceMax", kinds, [4], True)
        shares = at.op("Exp", at.op("Sub", kinds, best))
        total = at.reduce("ReduceSum", shares, [4], True)
        score = at.op("Div", at.op("Sigmoid", object_), total)
        name = at.cast(at.op("ArgMax", kinds, axis=4, keepdims=1), float)
        parts.append(
            [
                at.op("Reshape", corners, [-1, 4]),
                at.op("Reshape", score, [-1, 1]),
                at.op("Reshape", at.op("Add", name, 1.0), [-1, 1]),
            ]
        )
    _found(layer, at, parts, below(p.confidence_threshold))


def _cell_by_cell(at: Place, number: int, boxes: int, values: int, height: int, width: int) -> str:
    """Bottom `number` as (N, H, W, boxes, values)."""
    images = at.bottom_dims[number][0]
    lain = at.reshape(at.bottoms[number], (images, boxes, values, height, width))
    return at.op("Transpose", lain, perm=[0, 3, 4, 1, 2])


def _corners(at: Place, place: str, grow: str, anchors: Any, height: int, width: int) -> str:
    """(N, H, W, B, 4), from the places in cells and the logarithms of sizes, (…, 2) each."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    cells = np.stack([x, y], -1).astype(np.float32)[:, :, None]
    size = np.array([width, height], np.float32)
    centre = at.op("Div", at.op("Add", at.op("Sigmoid", place), cells), size)
    half = at.op("Mul", at.op("Mul", at.op("Exp", grow), anchors), 0.5)
    return at.op("Concat", at.op("Sub", centre, half), at.op("Add", centre, half), axis=4)


def _found(layer: Any, at: Place, parts: list[list[str]], least: float) -> None:
    """The rows: image 0, class, score, corners, best first, of all maps and images together."""
    corners, scores, names = (
        kind[0] if len(kind) == 1 else at.op("Concat", *kind, axis=0) for kind in zip(*parts)
    )
    threshold = layer.param.nms_threshold
    most = MANY if threshold > 0 else 1  # at 0 any box overlaps any other
    chosen = at.op(
        "NonMaxSuppression",
        at.op("Unsqueeze", corners, np.array([0])),
        at.op("Unsqueeze", at.op("Transpose", scores, perm=[1, 0]), np.array([0])),
        [most],
        np.array([min(max(below(threshold), 0.0), 1.0)], np.float32),
        np.array([least], np.float32),
    )
    index = at.op("Gather", chosen, np.array(2), axis=1)
    kinds = [at.op("Gather", x, index, axis=0) for x in (names, scores, corners)]
    image = at.op("Mul", kinds[0], 0.0)
    rows = at.op("Concat", image, *kinds, axis=1)
    rows = or_nothing(at, rows, at.extents(at.bottoms[0], 0, 1))
    at.op("Unsqueeze", rows, np.array([0, 1]), out=at.tops[0])
