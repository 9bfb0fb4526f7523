"""im2col and col2im for any number of spatial axes.

Inside, a tile keeps its images on the *last* axis: (channels, *spatial, images). Runs of copied or
added numbers then span several images, which is what makes small images fast, and with one image
the layout is Caffe's own. Columns are (channels * taps, outputs * images).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from caffelite.kernels.views import first_last, strided
from caffelite.kernels.window import Shape, Tile, Window, tiles
from caffelite.kernels.workspace import Array, Workspace, in_frame, shared_workspace

CONFLICT = 1 << 10
"""Rows of columns that are so many bytes apart, or a multiple, get in each other's way in the cache
while BLAS reads them, and products take up to half as long again."""
GAP = 64
"""Bytes between rows then."""


@in_frame
def im2col(x: Array, window: Window, out: Array, workspace: Workspace | None = None) -> None:
    """Lay the windows of every image out as columns.

    out[n, (c, taps), outputs] = x[n, c, output * stride - pad + tap * dilation], zero outside.
    x is (N, C, *spatial), out is (N, C * taps, *outputs).
    """
    workspace = workspace or shared_workspace()
    images, channels = x.shape[:2]
    outputs = window.output_shape(x.shape[2:])
    for n in range(images):
        tile = Tile(n, 1, (0,) * len(outputs), outputs)
        slab = gather(x, tile, window, workspace)
        columns = out[n].reshape(channels, *window.kernel, *outputs, 1)
        np.copyto(columns, _windows(slab, outputs, window))


@in_frame
def col2im(columns: Array, window: Window, out: Array, workspace: Workspace | None = None) -> None:
    """The adjoint of `im2col`: every column entry is added where it came from.

    columns is (N, C * taps, *outputs), out is (N, C, *spatial) and is overwritten.
    """
    workspace = workspace or shared_workspace()
    images, channels = out.shape[:2]
    outputs = window.output_shape(out.shape[2:])
    out[...] = 0
    for n in range(images):
        tile = Tile(n, 1, (0,) * len(outputs), outputs)
        entries = columns[n].reshape(channels, *window.kernel, *outputs, 1)
        scatter_columns(entries, tile, window, out, workspace)


def conv_tiles(x: Array, window: Window, outputs: Shape, budget: int | None) -> list[Tile]:
    """The tiles of a convolution that reads (or, backwards, writes) x (N, C, *spatial)."""
    bytes_per_column = x.shape[1] * window.taps * x.itemsize
    # A pointwise product copies nothing unless images are gathered, so it runs over whole planes.
    run = math.prod(outputs) if window.is_pointwise else outputs[-1]
    return list(tiles(x.shape[0], outputs, bytes_per_column, run, budget))


def merged(a: Array) -> Array | None:
    """View `a` as (first axis, all others), or None where its strides do not allow that."""
    stride = a.itemsize
    for size, step in zip(a.shape[:0:-1], a.strides[:0:-1], strict=True):
        if size != 1 and step != stride:
            return None
        stride *= size
    shape = (a.shape[0], math.prod(a.shape[1:]))
    return strided(a, shape, (a.strides[0], a.itemsize))


def tile_matrix(a: Array, tile: Tile, name: str, workspace: Workspace) -> Array:
    """a[tile] of a (N, M, *outputs) as a matrix (M, outputs * images): a view or a copy."""
    part = _images_last(a, tile)[(slice(None), *tile.box)]
    view = merged(part)
    if view is not None:
        return view
    copy = workspace.array(name, part.shape, a.dtype)
    np.copyto(copy, part)
    return copy.reshape(part.shape[0], -1)


def tile_columns(x: Array, tile: Tile, window: Window, workspace: Workspace) -> Array:
    """The columns of a tile of x: (C * taps, outputs * images)."""
    slab = gather(x, tile, window, workspace)
    if window.is_pointwise and (view := merged(slab)) is not None:
        return view
    windows = _windows(slab, tile.outputs, window)
    rows, length = slab.shape[0] * window.taps, tile.columns
    conflict = length * x.itemsize % CONFLICT == 0
    columns = workspace.array("columns", (rows, length + GAP // x.itemsize * conflict), x.dtype)
    columns = columns[:, :length]
    np.copyto(columns.reshape(windows.shape), windows)
    return columns


def gather(x: Array, tile: Tile, window: Window, workspace: Workspace) -> Array:
    """The padded input under a tile, images last: (C, *spatial, images). A view where it can be."""
    reach = window.reach(tile.outputs, tile.start)
    inside, place = _clip(reach, x.shape[2:])
    part = _images_last(x, tile)[(slice(None), *inside)]
    lengths = tuple(high - low for low, high in reach)
    if tile.images == 1 and part.shape[1:-1] == lengths:
        return part
    slab = workspace.array("slab", (x.shape[1], *lengths, tile.images), x.dtype)
    for axis, (at, length) in enumerate(zip(place, lengths, strict=True), start=1):
        lead = (slice(None),) * axis
        if at.start:
            slab[(*lead, slice(0, at.start))] = 0
        if at.stop < length:
            slab[(*lead, slice(at.stop, length))] = 0
    np.copyto(slab[(slice(None), *place)], part)
    return slab


def scatter_columns(
    entries: Array, tile: Tile, window: Window, out: Array, workspace: Workspace
) -> None:
    """Add column entries (C, *kernel, *outputs, images) of a tile to out (N, C, *spatial)."""
    reach = window.reach(tile.outputs, tile.start)
    inside, place = _clip(reach, out.shape[2:])
    target = _images_last(out, tile)[(slice(None), *inside)]
    lengths = tuple(high - low for low, high in reach)
    direct = tile.images == 1 and target.shape[1:-1] == lengths
    if direct:
        slab = target
    else:
        slab = workspace.array("slab", (out.shape[1], *lengths, tile.images), out.dtype)
        slab.fill(0)
    for tap in itertools.product(*map(range, window.kernel)):
        axes = zip(tap, window.dilation, window.stride, tile.outputs, strict=True)
        spots = tuple(
            slice(t * dilation, t * dilation + (count - 1) * stride + 1, stride)
            for t, dilation, stride, count in axes
        )
        under = slab[(slice(None), *spots)]
        entry: tuple[Any, ...] = (slice(None), *tap)
        np.add(under, entries[entry], out=under)
    if not direct:
        np.add(target, slab[(slice(None), *place)], out=target)


def _images_last(a: Array, tile: Tile) -> Array:
    return first_last(a[tile.image_slice])


def _windows(slab: Array, outputs: Shape, window: Window) -> Array:
    """View a slab (C, *spatial, images) as its windows (C, *kernel, *outputs, images)."""
    channel, *spatial, image = slab.strides
    taps = (step * d for step, d in zip(spatial, window.dilation, strict=True))
    moves = (step * s for step, s in zip(spatial, window.stride, strict=True))
    shape = (slab.shape[0], *window.kernel, *outputs, slab.shape[-1])
    return strided(slab, shape, (channel, *taps, *moves, image))


def _clip(
    reach: list[tuple[int, int]], spatial: Shape
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Split a reach into the part inside the image and its place inside the reach."""
    inside, place = [], []
    for (low, high), size in zip(reach, spatial, strict=True):
        first, last = min(max(low, 0), size), max(min(high, size), 0)
        last = max(first, last)
        inside.append(slice(first, last))
        place.append(slice(first - low, last - low))
    return tuple(inside), tuple(place)
