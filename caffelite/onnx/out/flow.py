"""Layers of nets that find a flow in ONNX's operators: Correlation, Warp, Resample, Mean."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from caffelite.layers.correlation import CorrelationType
from caffelite.onnx.out.place import Place, says


@says("Correlation")
def correlation(layer: Any, at: Place) -> None:
    """For each shift the mean over channels, then over the places of a patch."""
    p, (height, width) = layer.param, layer.top_shapes[0][2:]
    pads = [0, 0, p.pad, p.pad] * 2
    a, b = (at.op("Pad", x, pads) if p.pad else x for x in at.bottoms)
    sizes = [(n - 1) * p.stride_1 + p.kernel_size for n in (height, width)]

    def part(x: str, row: int, column: int) -> str:
        starts = [row + p.max_displacement, column + p.max_displacement]
        ends = [start + size for start, size in zip(starts, sizes)]
        return at.op("Slice", x, starts, ends, [2, 3])

    shifts = [r * p.stride_2 for r in range(-layer._reach, layer._reach + 1)]
    here, parts = part(a, 0, 0), []
    for down, right in product(shifts, shifts):
        there = part(b, down, right)
        if p.correlation_type == CorrelationType.MULTIPLY:
            like = at.op("Mul", here, there)
        else:
            like = at.op("Abs", at.op("Sub", here, there))
        parts.append(at.reduce("ReduceMean", like, [1], keep=True))
    y = at.op("Concat", *parts, axis=1)
    sides = {"kernel_shape": [p.kernel_size] * 2, "strides": [p.stride_1] * 2}
    at.op("AveragePool", y, out=at.tops[0], **sides)


@says("Warp")
def warp(layer: Any, at: Place) -> None:
    """Four pixels are gathered for each point and weighted; points outside give 0."""
    n, channels, height, width = at.bottom_dims[0]
    rows, columns = layer.bottom_shapes[0][2:]
    size = rows * columns
    pixels = at.reshape(at.bottoms[0], (n, channels, size))
    flow = at.reshape(at.bottoms[1], (n, 2, size))
    points, inside = [], []
    for axis, (start, extent) in enumerate(zip(np.indices((rows, columns))[::-1], (columns, rows))):
        moved = at.slice(flow, 1, axis, axis + 1)
        point = at.op("Add", moved, start.reshape(1, 1, size).astype(np.float32))
        inside.append(at.op("GreaterOrEqual", point, 0.0))
        inside.append(at.op("LessOrEqual", point, float(extent - 1)))
        points.append(point)
    valid = inside[0]
    for more in inside[1:]:
        valid = at.op("And", valid, more)
    ends = []
    for point in points:
        known = at.op("Where", valid, point, 0.0)
        low = at.op("Floor", known)
        part = at.op("Sub", known, low)
        ends.append(((low, at.op("Sub", 1.0, part)), (at.op("Ceil", known), part)))
    total = ""
    for (row, share), (column, part) in product(ends[1], ends[0]):
        index = at.cast(at.op("Add", at.op("Mul", row, float(columns)), column), int)
        index = at.op("Expand", index, [1, layer.bottom_shapes[0][1], 1])
        value = at.op("GatherElements", pixels, index, axis=2)
        value = at.op("Mul", value, at.op("Mul", share, part))
        total = at.op("Add", total, value) if total else value
    at.reshape(at.op("Where", valid, total, 0.0), (n, channels, height, width), at.tops[0])


@says("Resample", "MaskResize", "BilinearInterpolation")
def resample(layer: Any, at: Place) -> None:
    """The products with two matrices that it is."""
    lines = at.op("MatMul", np.asarray(layer._a, np.float32), at.bottoms[0])
    at.op("MatMul", lines, np.asarray(layer._b.T, np.float32), out=at.tops[0])


@says("Mean")
def mean(layer: Any, at: Place) -> None:
    for x, top, value in zip(at.bottoms, at.tops, layer._means):
        scaled = at.op("Mul", x, float(layer._factor))
        at.op("Add", scaled, np.asarray(value, np.float32), out=top)
