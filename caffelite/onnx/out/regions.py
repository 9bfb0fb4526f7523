"""Layers that read regions of a map: ROIPooling, PSROIPooling, ROIAlign."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx.out.place import Place, says


def _regions(layer: Any, at: Place) -> str:
    """Bottom 1 as (R, 5): image, x1, y1, x2, y2."""
    if len(layer.bottom_shapes[1]) == 2:
        return at.bottoms[1]
    return at.reshape(at.bottoms[1], (at.bottom_dims[1][0], 5))


def _larger(at: Place, x1: str, x2: str, ratio: float) -> tuple[str, str]:
    """Two sides that are moved apart, each by `ratio` of their distance, which counts 1 more."""
    if not ratio:
        return x1, x2
    pad = at.op("Mul", at.op("Add", at.op("Sub", x2, x1), 1.0), float(ratio))
    return at.op("Sub", x1, pad), at.op("Add", x2, pad)


@says("ROIPooling")
def roi_pooling(layer: Any, at: Place) -> None:
    p, rois = layer.param, _regions(layer, at)
    if p.pad_ratio:
        image, x1, y1, x2, y2 = at.ops("Split", rois, [1] * 5, outs=[None] * 5, axis=1)
        x1, x2 = _larger(at, x1, x2, p.pad_ratio)
        y1, y2 = _larger(at, y1, y2, p.pad_ratio)
        rois = at.op("Concat", image, x1, y1, x2, y2, axis=1)
    at.op(
        "MaxRoiPool",
        at.bottoms[0],
        rois,
        out=at.tops[0],
        pooled_shape=[p.pooled_h, p.pooled_w],
        spatial_scale=float(p.spatial_scale),
    )


@says("ROIAlign")
def roi_align(layer: Any, at: Place) -> None:
    """The four pixels around each point, gathered and weighed. ONNX's own RoiAlign has its points
    in the bins' middles, and another border."""
    p = layer.param
    image, x1, y1, x2, y2 = at.ops("Split", _regions(layer, at), [1] * 5, outs=[None] * 5, axis=1)
    sides = []
    for (low, high), parts, limit in (
        (_larger(at, y1, y2, p.pad_ratio), p.pooled_h, at.shape[2]),
        (_larger(at, x1, x2, p.pad_ratio), p.pooled_w, at.shape[3]),
    ):
        low, high = (at.op("Mul", edge, float(p.spatial_scale)) for edge in (low, high))
        low, high = (at.op("Sub", edge, 0.5) for edge in (low, high))
        sides.append(_points(at, low, high, parts, limit))
    number = at.cast(at.op("Unsqueeze", image, np.array([2])), int)  # (R, 1, 1)
    last = at.op("Transpose", at.bottoms[0], perm=[0, 2, 3, 1])
    total = ""
    for row, down in sides[0]:
        row, down = (at.op("Unsqueeze", v, np.array([2])) for v in (row, down))
        for column, across in sides[1]:
            column, across = (at.op("Unsqueeze", v, np.array([1])) for v in (column, across))
            weight = at.op("Mul", down, across)  # (R, P + 1, Q + 1)
            shape = at.op("Shape", weight)
            where = [
                at.op("Unsqueeze", at.op("Expand", v, shape), np.array([3]))
                for v in (number, row, column)
            ]
            pixels = at.op("GatherND", last, at.op("Concat", *where, axis=3))
            part = at.op("Mul", pixels, at.op("Unsqueeze", weight, np.array([3])))
            total = at.op("Add", total, part) if total else part
    at.op("Transpose", total, out=at.tops[0], perm=[0, 3, 1, 2])


def _points(at: Place, low: str, high: str, parts: int, limit: int) -> list[tuple[str, str]]:
    """For the points of one side, (R, parts + 1), the pixel before them and the one behind, each
    with its weight, which is 0 outside of the map."""
    step = at.op("Div", at.op("Sub", high, low), float(parts))
    steps = at.op("Mul", step, np.arange(parts + 1, dtype=np.float32))
    points = at.op("Add", low, steps)
    outside = at.op("Less", points, -0.5)
    outside = at.op("Or", outside, at.op("Greater", points, limit - 0.5))
    outside = at.op("Or", outside, at.op("Not", at.op("Greater", high, low)))
    inside = at.cast(at.op("Not", outside), float)
    floor = at.op("Floor", points)
    most = float(limit - 1)
    first = at.op("Clip", floor, 0.0, most)
    second = at.op("Clip", at.op("Add", floor, 1.0), 0.0, most)
    share = at.op("Sub", at.op("Clip", points, 0.0, most), first)
    rest = at.op("Sub", 1.0, share)
    return [
        (at.cast(first, int), at.op("Mul", rest, inside)),
        (at.cast(second, int), at.op("Mul", share, inside)),
    ]


@says("PSROIPooling")
def psroi_pooling(layer: Any, at: Place) -> None:
    """Sums over bins as products with zeros and ones: first over the rows of the region's image,
    then over columns; so one value of x that is not finite reaches all regions."""
    k, dim, scale = layer.param.group_size, layer.param.output_dim, layer.param.spatial_scale
    height, width = at.shape[2:]
    image, *corners = at.ops("Split", _regions(layer, at), [1] * 5, outs=[None] * 5, axis=1)
    x1, y1, x2, y2 = (_rounded(at, c) for c in corners)
    x2, y2 = (at.op("Add", c, 1.0) for c in (x2, y2))
    x1, y1, x2, y2 = (at.op("Mul", c, float(scale)) for c in (x1, y1, x2, y2))
    rows, tall = _bins(at, y1, y2, k, height)  # (R, k, H), (R, k)
    columns, wide = _bins(at, x1, x2, k, width)
    images = at.op(
        "Range", 0.0, at.op("Squeeze", at.cast(at.extents(at.bottoms[0], 0, 1), float)), 1.0
    )
    own = at.cast(at.op("Equal", image, images), float)  # (R, N)
    own = at.op("Unsqueeze", own, np.array([0, 3]))
    rows = at.op("Unsqueeze", at.op("Transpose", rows, perm=[1, 0, 2]), np.array([2]))
    rows = at.op("Reshape", at.op("Mul", rows, own), [0, 0, -1])  # (k, R, N·H)
    x = at.reshape(at.bottoms[0], (at.bottom_dims[0][0], dim, k, k, height, width))
    x = at.op("Transpose", x, perm=[2, 0, 4, 1, 3, 5])  # (k, N, H, D, k, W)
    x = at.op("Reshape", x, [k, -1, dim * k * width])
    lines = at.op("Reshape", at.op("MatMul", rows, x), [0, 0, dim, k, width])
    columns = at.op("Unsqueeze", columns, np.array([0, 2]))  # (1, R, 1, k, W)
    sums = at.reduce("ReduceSum", at.op("Mul", lines, columns), [4], False)  # (k, R, D, k)
    sums = at.op("Transpose", sums, perm=[1, 2, 0, 3])
    tall, wide = (
        at.op("Unsqueeze", v, np.array(axes)) for v, axes in ((tall, [1, 3]), (wide, [1, 2]))
    )
    area = at.op("Mul", tall, wide)
    at.op("Div", sums, at.op("Max", area, 1.0), out=at.tops[0])


def _rounded(at: Place, x: str) -> str:
    """The nearest whole number, halves away from 0; ONNX's Round takes them to the even one."""
    return at.op("Mul", at.op("Sign", x), at.op("Floor", at.op("Add", at.op("Abs", x), 0.5)))


def _bins(at: Place, low: str, high: str, k: int, limit: int) -> tuple[str, str]:
    """Of each bin between two edges (R, 1): 1 for the lines in it, (R, k, limit), and their number,
    (R, k)."""
    size = at.op("Div", at.op("Max", at.op("Sub", high, low), 0.1), float(k))
    number = np.arange(k, dtype=np.float32)
    start = at.op("Floor", at.op("Add", at.op("Mul", size, number), low))
    end = at.op("Ceil", at.op("Add", at.op("Mul", size, number + np.float32(1)), low))
    start, end = (at.op("Clip", edge, 0.0, float(limit)) for edge in (start, end))
    lines = np.arange(limit, dtype=np.float32)
    before = at.op("Less", lines, at.op("Unsqueeze", start, np.array([2])))
    below = at.op("Less", lines, at.op("Unsqueeze", end, np.array([2])))
    inside = at.cast(at.op("And", below, at.op("Not", before)), float)
    return inside, at.op("Sub", end, start)
