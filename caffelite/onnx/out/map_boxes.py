"""BoxOutput and BoxGroupOutput: the boxes at the cells of maps, thinned out by image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.onnx.dims import Dim, Extent
from caffelite.onnx.out.place import Place, Unsayable, says
from caffelite.onnx.out.thinning import (
    LOWEST,
    MANY,
    best,
    columns,
    first,
    missing,
    picked,
    scaled,
    shared_sides,
    suppressed,
    taken,
    thinned,
    thinned_whole,
)

NOWHERE = np.array([[0, 1, 1, 10, 10]], np.float32)
"""The region that stands for none."""


@says("BoxOutput")
def box_output(layer: Any, at: Place) -> None:
    p = layer.param
    images: Dim = at.bottom_dims[0][0]
    parts = [_cells(layer, at, i, images) for i in range(len(at.bottoms))]
    boxes, scores, good = (_joined(at, kind) for kind in zip(*parts))
    total = sum(math.prod(s[2:]) for s in layer.bottom_shapes)
    values, order = best(at, scores, good, min(p.max_nms_num or total, total))
    boxes = taken(at, boxes, order, 4)
    start, size = columns(at, boxes, 2, 2, 2)
    corners = at.op("Concat", start, at.op("Add", start, size), axis=2)
    if p.nms_type == "IOU":
        lain = at.op("Unsqueeze", values, np.array([1]))
        mask = suppressed(at, corners, lain, p.iou_thr, LOWEST, p.max_post_nms_num or MANY)
    else:
        areas = at.reduce("ReduceProd", size, [2], False)
        larger = "Max" if p.nms_type == "IOFMAX" else "Min"

        def meets(inside: Place, all_: Sequence[str], one: Sequence[str], kept: str) -> str:
            sides = inside.op("Max", shared_sides(inside, all_[0], one[0]), 0.0)
            both = inside.reduce("ReduceProd", sides, [2], False)
            whole = inside.op(larger, all_[1], one[1])
            return inside.op("Greater", both, inside.op("Mul", whole, float(p.iou_thr)))

        mask = thinned(at, [corners, areas], values, meets)
        mask = first(at, mask, p.max_post_nms_num) if p.max_post_nms_num else mask
    _regions(at, mask, corners, values)


def _cells(layer: Any, at: Place, number: int, images: Dim) -> tuple[str, str, str]:
    """x, y, width and height (N, cells, 4) of one map's boxes, their scores (N, cells), and which
    are good."""
    p, (_, channels, height, width) = layer.param, layer.bottom_shapes[number]
    classes, cells, rate = channels - 4, height * width, p.downsample_rate[number]
    fields = np.array([p.field_w[number], p.field_h[number]], np.float32)
    lain = at.reshape(at.bottoms[number], (images, channels, cells))
    lain = at.op("Transpose", lain, perm=[0, 2, 1])
    scores, codes = columns(at, lain, 2, classes, 4)
    codes = scaled(layer, at, codes)
    none, rest = columns(at, scores, 2, 1, classes - 1)
    score = at.op("Sub", at.reduce("ReduceMax", rest, [2], True), none)
    score = at.op("Squeeze", score, np.array([2]))
    centre, size = _moved(at, codes, fields, p, _centres(height, width, rate))
    start = at.op("Max", at.op("Sub", centre, at.op("Mul", size, 0.5)), 0.0)
    limits = np.array([width * rate, height * rate], np.float32)
    size = at.op("Min", size, at.op("Sub", limits, start))
    small = at.op("Less", at.reduce("ReduceMin", size, [2], False), float(p.min_size))
    bad = at.op("Or", at.op("Less", score, float(p.fg_thr)), small)
    return at.op("Concat", start, size, axis=2), score, at.op("Not", bad)


def _centres(height: int, width: int, rate: int) -> Any:
    """(cells, 2): x and y of their centres, row by row."""
    x, y = (np.arange(n, dtype=np.float32) + np.float32(0.5) for n in (width, height))
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2) * np.float32(rate)


def _moved(at: Place, codes: str, fields: Any, p: Any, centres: Any) -> tuple[str, str]:
    """Centres and sizes of boxes, (…, 2) each, from their codes (…, 4)."""
    move, grow = 1 / p.field_xyr, math.log(p.field_whr)
    by, larger = columns(at, codes, 2, 2, 2)
    by = at.op("Clip", by, float(-move), float(move))
    larger = at.op("Clip", larger, float(-grow), float(grow))
    centre = at.op("Add", at.op("Mul", by, fields), centres)
    return centre, at.op("Mul", at.op("Exp", larger), fields)


def _joined(at: Place, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else at.op("Concat", *parts, axis=1)


def _regions(at: Place, mask: str, corners: str, scores: str) -> None:
    """The tops: (R, 5, 1, 1), and the same with the score (R, 6, 1, 1)."""
    named = len(at.tops) > 1
    image, boxes, *score = picked(at, mask, corners, *([scores] if named else []))
    regions = at.op("Concat", image, boxes, axis=1)
    none = missing(at, regions)
    stand_in = at.op("Expand", NOWHERE, at.op("Concat", none, [5], axis=0))
    whole = at.op("Concat", regions, stand_in, axis=0)
    at.op("Unsqueeze", whole, np.array([2, 3]), out=at.tops[0])
    if named:
        scored = at.op("Concat", regions, at.op("Unsqueeze", score[0], np.array([1])), axis=1)
        zeros = at.op("Expand", 0.0, at.op("Concat", none, [6], axis=0))
        whole = at.op("Concat", scored, zeros, axis=0)
        at.op("Unsqueeze", whole, np.array([2, 3]), out=at.tops[1])


@says("BoxGroupOutput")
def box_group_output(layer: Any, at: Place) -> None:
    p = layer.param
    parts, total = [], 0
    for i, group in enumerate(p.box_group_param):
        fields = np.array([group.field_w, group.field_h], np.float32).T
        count, (height, width) = len(fields), layer.bottom_shapes[2 * i][2:]
        cells, images = height * width, _shared(at.bottom_dims[2 * i][0], count)
        total += count * cells
        codes = at.reshape(at.bottoms[2 * i + 1], (images, count, 4, cells))
        codes = at.op("Transpose", codes, perm=[0, 1, 3, 2])
        codes = at.reshape(codes, (images, count * cells, 4))
        codes = scaled(layer, at, codes)
        sizes = np.repeat(fields, cells, 0)
        centres = np.tile(_centres(height, width, group.stride), (count, 1))
        centre, size = _moved(at, codes, sizes, p, centres)
        start = at.op("Sub", centre, at.op("Mul", size, 0.5))
        limits = np.array([width, height], np.float32) * np.float32(group.stride)
        end = at.op("Min", at.op("Sub", at.op("Add", start, size), 1.0), limits)
        start = at.op("Max", start, 0.0)
        classes = at.bottom_dims[2 * i][1]
        prob = at.reshape(at.bottoms[2 * i], (images, count, classes, cells))
        score = at.op("Sub", 1.0, at.slice(prob, 2, 0, 1))
        score = at.reshape(score, (images, count * cells))
        sides = at.op("Add", at.op("Sub", end, start), 1.0)
        small = at.op("Less", at.reduce("ReduceMin", sides, [2], False), float(p.min_size))
        bad = at.op("Or", at.op("Less", score, float(p.fg_thr)), small)
        parts.append((at.op("Concat", start, end, axis=2), score, at.op("Not", bad)))
    boxes, scores, good = (_joined(at, kind) for kind in zip(*parts))
    values, order = best(at, scores, good, min(p.max_nms_num or total, total))
    boxes = taken(at, boxes, order, 4)
    mask = thinned_whole(at, boxes, values, p.nms_type, p.iou_thr)
    mask = first(at, mask, p.max_post_nms_num) if p.max_post_nms_num else mask
    _regions(at, mask, boxes, values)


def _shared(rows: Dim, count: int) -> Dim:
    """How many images there are, of which each has `count` of the rows."""
    if isinstance(rows, int):
        return rows // count
    if rows.a % count or rows.b % count:
        raise Unsayable("its maps have several fields for each image; --fixed knows their number")
    return Extent(rows.a // count, rows.b // count, rows.name)
