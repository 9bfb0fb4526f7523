"""The regions of region proposal networks: found, routed to a level, moved for the next stage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.layers.anchors import shifted
from caffelite.onnx.out.place import Place, says
from caffelite.onnx.out.thinning import LOWEST, best, columns, picked, scaled, suppressed, taken


@says("Proposal")
def proposal(layer: Any, at: Place) -> None:
    """Decoded anchors, cut to the image; the best of those that are large enough; of these what
    NonMaxSuppression keeps. A box whose last pixel belongs to it is one wider there."""
    count, (height, width) = len(layer.anchors), at.shape[2:]
    total = count * height * width
    scores = at.slice(at.bottoms[0], 1, count, 2 * count)
    scores = at.op("Reshape", at.op("Transpose", scores, perm=[0, 2, 3, 1]), [1, total])
    codes = at.op("Transpose", at.bottoms[1], perm=[0, 2, 3, 1])
    codes = at.op("Reshape", codes, [1, total, 4])
    anchors = np.asarray(shifted(layer.anchors, height, width, layer.stride), np.float32)
    size = anchors[:, 2:] - anchors[:, :2] + 1
    middle = anchors[:, :2] + np.float32(0.5) * size
    move, grow = columns(at, codes, 2, 2, 2)
    centre = at.op("Add", at.op("Mul", move, size), middle)
    half = at.op("Mul", at.op("Mul", at.op("Exp", grow), size), 0.5)
    info = at.op("Reshape", at.bottoms[2], [-1])
    edges = at.op("Sub", at.op("Gather", info, np.array([1, 0])), 1.0)
    low, high = (
        at.op("Min", at.op("Max", side, 0.0), edges)
        for side in (at.op("Sub", centre, half), at.op("Add", centre, half))
    )
    sides = at.op("Add", at.op("Sub", high, low), 1.0)
    least = at.op("Mul", at.op("Gather", info, np.array([2])), float(layer.min_size))
    small = at.op("Less", at.reduce("ReduceMin", sides, [2], False), least)
    values, order = best(at, scores, at.op("Not", small), min(layer.before, total))
    boxes = taken(at, at.op("Concat", low, high, axis=2), order, 4)
    wider = at.op("Add", boxes, np.array([0, 0, 1, 1], np.float32))
    lain = at.op("Unsqueeze", values, np.array([1]))
    mask = suppressed(at, wider, lain, layer.overlap, LOWEST, layer.after)
    scored = len(at.tops) > 1
    image, corners, *score = picked(at, mask, boxes, *([values] if scored else []))
    at.op("Concat", image, corners, out=at.tops[0], axis=1)
    if scored:
        at.op("Unsqueeze", score[0], np.array([1]), out=at.tops[1])


@says("ScaleRoute")
def scale_route(layer: Any, at: Place) -> None:
    """The rows of the wanted scales; where there are none, the one that is nearest. Behind all
    regions one that is farther than any stands in where there are no regions."""
    rois = at.op("Reshape", at.bottoms[0], [-1, 5])
    low, high = (at.slice(rois, 1, start, start + 2) for start in (1, 3))
    sides = at.op("Add", at.op("Sub", high, low), 1.0)
    whole = at.op("Less", at.reduce("ReduceMin", sides, [1], False), 1.0)
    first, second = (at.op("Squeeze", s, np.array([1])) for s in columns(at, sides, 1, 1, 1))
    area = at.op("Where", whole, 0.0, at.op("Mul", first, second))
    scale = at.op("Sqrt", area)
    wanted = at.op("Not", at.op("Less", scale, float(layer._low)))
    if layer._high < math.inf:
        wanted = at.op("And", wanted, at.op("Less", scale, float(layer._high)))
    ratio = at.op("Div", scale, float(layer._middle))
    apart = at.op(
        "Concat", at.op("Abs", at.op("Log", ratio)), np.array([np.inf], np.float32), axis=0
    )
    nearest = at.op("ArgMin", apart, axis=0, keepdims=1)
    number = at.op("Squeeze", at.extents(rois, 0, 1), np.array([0]))
    places = at.op("Range", np.array(0), number, np.array(1))
    one = at.op("Equal", places, nearest)
    some = at.op("Concat", at.cast(wanted, int), np.array([0]), axis=0)
    some = at.op("Greater", at.reduce("ReduceMax", some, [0], True), np.array([0]))
    instead = at.op("And", at.op("Not", some), one)
    chosen = at.op("Or", wanted, instead)
    for x, top in zip(at.bottoms, at.tops):
        at.op("Compress", x, chosen, out=top, axis=0)


@says("DecodeBBox")
def decode_bbox(layer: Any, at: Place) -> None:
    """Phase TEST: as many boxes as there are regions."""
    codes = at.slice(at.op("Reshape", at.bottoms[0], [-1, 8]), 1, 4, 8)
    rois = at.op("Reshape", at.bottoms[1], [-1, 5])
    codes = scaled(layer, at, codes)
    image, low, high = columns(at, rois, 1, 1, 2, 2)
    move, grow = columns(at, codes, 1, 2, 2)
    size = at.op("Add", at.op("Sub", high, low), 1.0)
    middle = at.op("Mul", at.op("Add", high, low), 0.5)
    middle = at.op("Add", middle, at.op("Mul", move, size))
    span = at.op("Sub", at.op("Mul", size, at.op("Exp", grow)), 1.0)
    start = at.op("Sub", middle, at.op("Mul", span, 0.5))
    boxes = at.op("Concat", image, start, at.op("Add", start, span), axis=1)
    at.reshape(boxes, at.top_dims[0], at.tops[0])
