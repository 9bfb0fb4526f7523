"""Layers of forks that move values about: turned axes, blocks of pixels, the middle of a map;
and the marks of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.layers.merge_crop import MergeOp
from caffelite.onnx.out.place import BIG, Place, Unsayable, says
from caffelite.onnx.out.shapes import true_axis


@says("Transpose")
def transpose(layer: Any, at: Place) -> None:
    at.op("Transpose", at.bottoms[0], out=at.tops[0], perm=list(layer.param.dim))


@says("Reverse")
def reverse(layer: Any, at: Place) -> None:
    axis = true_axis(layer.param.axis, len(at.shape))
    at.slice(at.bottoms[0], axis, -1, -BIG, -1, out=at.tops[0])


@says("Flip")
def flip(layer: Any, at: Place) -> None:
    p = layer.param
    axes = [axis for axis, turned in ((2, p.flip_height), (3, p.flip_width)) if turned]
    blob = at.bottoms[0]
    for axis in axes:
        blob = at.slice(blob, axis, -1, -BIG, -1)
    at.op("Identity", blob, out=at.tops[0])


@says("ContinuationIndicator")
def continuation_indicator(layer: Any, at: Place) -> None:
    marks = np.ones(layer.top_shapes[0], np.float32)
    marks[0] = 0
    at.fixed(marks, at.tops[0])


@says("Squeeze")
def squeeze(layer: Any, at: Place) -> None:
    at.reshape(at.bottoms[0], at.top_dims[0], at.tops[0])


@says("Reorg")
def reorg(layer: Any, at: Place) -> None:
    """The blob as the long image (N, C/s², H, s, W, s), and as (N, s, s, C/s², H, W)."""
    images, s = at.bottom_dims[0][0], layer.param.stride
    _, c, h, w = at.shape
    if not all(isinstance(n, int) for n in at.bottom_dims[0][1:]):
        raise Unsayable("its channels or sides are the batch; --fixed knows their size")
    long, apart = (images, c // (s * s), h, s, w, s), (images, s, s, c // (s * s), h, w)
    if layer.param.reverse:
        blocks, order = at.reshape(at.bottoms[0], apart), [0, 3, 4, 1, 5, 2]
    else:
        blocks, order = at.reshape(at.bottoms[0], long), [0, 3, 5, 1, 2, 4]
    at.reshape(at.op("Transpose", blocks, perm=order), at.top_dims[0], at.tops[0])


@says("MergeCrop")
def merge_crop(layer: Any, at: Place) -> None:
    """The crop is in the middle, so its place needs both extents as numbers."""
    axes, starts, ends = [], [], []
    for axis in range(2, len(at.shape)):
        small, large = at.bottom_dims[0][axis], at.bottom_dims[1][axis]
        if small == large:
            continue
        if not (isinstance(small, int) and isinstance(large, int)):
            raise Unsayable("it crops along the batch; --fixed knows its size")
        axes.append(axis)
        starts.append((large - small) // 2)
        ends.append((large - small) // 2 + small)
    parts = list(at.bottoms)
    if axes:
        parts[1] = at.op("Slice", parts[1], starts, ends, axes)
    counts = [*layer.param.forward, 1, 1]  # is each bottom read?
    parts = [x if count else at.op("Mul", x, 0.0) for x, count in zip(parts, counts)]
    if layer.param.operation == MergeOp.ADD:
        at.op("Add", *parts, out=at.tops[0])
    else:
        at.op("Concat", *parts, out=at.tops[0], axis=1)
