"""Convolution with columns laid out along all axes of the window but the first.

Columns copy every input once for each tap. Here it is copied once for each tap of a *row* of the
window, in the order (height, taps of a row, channels, width, images). What an output row sees is
then one contiguous matrix of that memory - (kernel height * taps of a row * channels) by
(width * images) - and that of the next output row begins `stride` heights further on. So a 5 x 5
window copies 5 numbers for each input, not 25, and each product has all of its terms in it.

For the gradient towards the weights the order is (taps of a row, channels, height, width, images),
and there is a product for each row of the window, over all outputs of a tile.

Shapes as in `convolution`, but for one group: x (N, C, *spatial), weights (M, C, *kernel).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.kernels.columns import gather, tile_matrix
from caffelite.kernels.outer import times_rows
from caffelite.kernels.tuned import Tuned
from caffelite.kernels.views import strided
from caffelite.kernels.window import Shape, Tile, Window, even
from caffelite.kernels.workspace import Array, Workspace

WIDTH: Tuned = 192
"""A product is to have so many columns at least: narrower ones are slow."""
ROW_BYTES = 3 << 20
"""The laid out rows of one tile stay within this many bytes, so that they stay cached."""


def row_tiles(x: Array, window: Window, outputs: Shape, budget: int | None) -> list[Tile]:
    """Images and output rows of each tile; none where columns serve better: windows whose taps
    have gaps or whose steps along a row are not 1, and a few small images."""
    straight = len(outputs) > 1 and window.dilation[0] == 1 and set(window.stride[1:]) == {1}
    rest = math.prod(outputs[1:])
    if not straight or window.taps == 1 or not rest * x.shape[0]:
        return []
    images = even(x.shape[0], -(-WIDTH // rest))
    if images * rest < WIDTH:
        return []
    row = math.prod(window.kernel[1:]) * x.shape[1] * rest * images * x.itemsize
    heights = (ROW_BYTES if budget is None else budget) // row
    least = max(window.span[0], 4)
    count = even(outputs[0], max(least, (heights - window.span[0]) // window.stride[0] + 1))
    return [
        Tile(
            first,
            min(images, x.shape[0] - first),
            (start, *[0] * (len(outputs) - 1)),
            (min(count, outputs[0] - start), *outputs[1:]),
        )
        for first in range(0, x.shape[0], images)
        for start in range(0, outputs[0], count)
    ]


def row_filters(weights: Array, group: int, workspace: Workspace) -> Array:
    """Weights (M, C / group, *kernel) as (group, M / group, taps and channels), rows first."""
    moved = _channels_last(weights)
    filters = workspace.array("filters", moved.shape, weights.dtype)
    np.copyto(filters, moved)
    return filters.reshape(group, weights.shape[0] // group, -1)


def row_products(x: Array, filters: Array, tile: Tile, window: Window, ws: Workspace) -> Array:
    """filters (M, taps * C) times what the outputs of a tile see: (M, *outputs, images)."""
    slab, (height, *rest) = gather(x, tile, window, ws), tile.outputs
    windows = _row_windows(slab, window, tile.outputs)
    at = len(rest) + 1  # (taps, C, height, *rest, images) becomes (height, taps, C, *rest, images)
    axes = range(windows.ndim)
    windows = windows.transpose(at, *axes[:at], *axes[at + 1 :])
    laid = ws.array("rows", windows.shape, x.dtype)
    np.copyto(laid, windows)
    columns = tile.images * math.prod(rest)
    step, terms = laid.strides[0] * window.stride[0], filters.shape[1]
    shape = (height, terms, columns)
    seen = strided(laid, shape, (step, columns * x.itemsize, x.itemsize))
    product = ws.array("product", (height, len(filters), columns), x.dtype)
    np.matmul(filters, seen, out=product)
    return product.reshape(height, len(filters), *rest, tile.images).swapaxes(0, 1)


def row_weights(
    x: Array, dout: Array, tile: Tile, window: Window, out: Array, ws: Workspace
) -> Array:
    """Write the gradient that a tile gives to the weights: out (rows, M, taps of a row * C).
    For windows that step by 1. The tile's dout as (M, outputs * images) is given back."""
    slab = gather(x, tile, window, ws)
    windows = _row_windows(slab, window, tile.outputs)
    laid = ws.array("rows", windows.shape, x.dtype)
    np.copyto(laid, windows)
    gradient = tile_matrix(dout, tile, "gradient", ws)
    row = tile.columns // tile.outputs[0] * x.itemsize
    shape = (window.kernel[0], out.shape[2], gradient.shape[1])
    seen = strided(laid, shape, (row, row * slab.shape[1], x.itemsize))
    times_rows(gradient, seen, out)
    return gradient


def by_rows(weights: Array) -> Array:
    """View weights (M, C, *kernel) as `row_weights` writes them, but for merged axes:
    (rows, M, *taps of a row, C)."""
    last = _channels_last(weights)
    return last.transpose(1, 0, *range(2, last.ndim))


def _channels_last(weights: Array) -> Array:
    return weights.transpose(0, *range(2, weights.ndim), 1)


def _row_windows(slab: Array, window: Window, outputs: Shape) -> Array:
    """View a slab (C, *spatial, images) as its windows along all axes but the first:
    (*taps of a row, C, height, *outputs, images)."""
    channel, height, *rest, image = slab.strides
    taps = (step * d for step, d in zip(rest, window.dilation[1:], strict=True))
    shape: Any = (*window.kernel[1:], *slab.shape[:2], *outputs[1:], slab.shape[-1])
    return strided(slab, shape, (*taps, channel, height, *rest, image))
