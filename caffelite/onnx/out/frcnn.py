"""FrcnnOutput: the boxes of regions, thinned out class by class."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx.out.place import Place, says
from caffelite.onnx.out.thinning import columns, picked, scaled, taken, thinned_whole

FAKE = np.array([[0] + [-1] * 6], np.float32)
"""The row in front of all."""


@says("FrcnnOutput")
def frcnn_output(layer: Any, at: Place) -> None:
    """Classes are what images are to BoxOutput: (C - 1, R) scores, (C - 1, R, 4) boxes."""
    p, classes = layer.param, layer.bottom_shapes[0][1]
    sets = classes if layer.reg.cls_aware else 2
    prob = at.op("Reshape", at.bottoms[0], [-1, classes])
    codes = at.op("Reshape", at.bottoms[1], [-1, sets, 4])
    rois = at.op("Reshape", at.bottoms[2], [-1, layer.bottom_shapes[2][1]])
    size = at.slice(at.op("Reshape", at.bottoms[3], [2]), 0, 1, -3, -1)  # width, height
    boxes = _boxes(at, scaled(layer, at, codes), at.slice(rois, 1, 1, 5), size)
    boxes = at.slice(at.op("Transpose", boxes, perm=[1, 0, 2]), 0, 1, sets)
    if not layer.reg.cls_aware:
        boxes = at.op("Expand", boxes, [classes - 1, 1, 1])
    scores = at.slice(at.op("Transpose", prob, perm=[1, 0]), 0, 1, classes)
    low = at.op("Less", scores, float(np.float32(p.conf_thr)))
    masked = at.op("Where", low, float("-inf"), scores)
    count = at.extents(prob, 0, 1)
    values, order = at.ops("TopK", masked, count, outs=[None, None], axis=1)
    boxes = taken(at, boxes, order, 4)
    mask = thinned_whole(at, boxes, values, p.nms_type, p.iou_thr)
    if p.max_det_num:
        mask = _best(at, mask, values, p.max_det_num)
    kind, corners, score = picked(at, mask, boxes, values)
    score = at.op("Unsqueeze", score, np.array([1]))
    kind = at.op("Add", kind, 1.0)
    rows = at.op("Concat", at.op("Mul", kind, 0.0), corners, kind, score, axis=1)
    rows = at.op("Concat", FAKE, rows, axis=0)
    at.op("Unsqueeze", rows, np.array([2, 3]), out=at.tops[0])


def _boxes(at: Place, codes: str, regions: str, size: str) -> str:
    """(R, sets, 4): corners, cut to the image."""
    regions = at.op("Unsqueeze", regions, np.array([1]))
    low, high = columns(at, regions, 2, 2, 2)
    move, grow = columns(at, codes, 2, 2, 2)
    sides = at.op("Add", at.op("Sub", high, low), 1.0)
    middle = at.op("Mul", at.op("Add", high, low), 0.5)
    middle = at.op("Add", middle, at.op("Mul", move, sides))
    span = at.op("Sub", at.op("Mul", sides, at.op("Exp", grow)), 1.0)
    start = at.op("Sub", middle, at.op("Mul", span, 0.5))
    end = at.op("Min", at.op("Add", start, span), size)
    return at.op("Concat", at.op("Max", start, 0.0), end, axis=2)


def _best(at: Place, mask: str, values: str, most: int) -> str:
    """The mask (M, k) with the ones of the best values of all rows alone."""
    flat = at.op("Reshape", at.op("Where", at.op("Greater", mask, 0.5), values, -1.0), [-1])
    number = at.op("Min", at.extents(flat, 0, 1), np.array([most]))
    _, order = at.ops("TopK", flat, number, outs=[None, None], axis=0)
    ones = at.op("Expand", 1.0, at.op("Shape", order))
    zeros = at.op("Mul", at.op("Abs", flat), 0.0)
    chosen = at.op("ScatterElements", zeros, order, ones, axis=0)
    return at.op("Mul", mask, at.op("Reshape", chosen, at.op("Shape", mask)))
