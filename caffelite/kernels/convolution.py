"""Convolution and its three gradients, as matrix products over tiles of columns.

For one image with columns X (C * taps, outputs), weights W (M, C * taps), output Y (M, outputs):

    forward          Y  = W X + b
    towards data     dX = W^T dY, then col2im
    towards weights  dW = dY X^T
    towards bias     db = sum of dY

Groups cut channels and outputs into equal parts that are convolved separately. A deconvolution is
the same with the roles swapped: its forward pass is `conv_backward_data`, its gradient towards the
data is `conv_forward`, and its gradient towards the weights is `conv_backward_weights` with bottom
and top exchanged.

Shapes: x (N, C, *spatial), weights (M, C / group, *kernel), bias (M,), out (N, M, *outputs) with
outputs = window.output_shape(spatial).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.kernels.columns import (
    conv_tiles,
    merged,
    scatter_columns,
    tile_columns,
    tile_matrix,
)
from caffelite.kernels.window import Shape, Tile, Window
from caffelite.kernels.workspace import Array, Workspace, shared_workspace


def conv_forward(
    x: Array,
    weights: Array,
    bias: Array | None,
    out: Array,
    window: Window,
    group: int = 1,
    workspace: Workspace | None = None,
    budget: int | None = None,
) -> None:
    """Write out = W X + b. `budget` bounds the bytes of a tile's columns (default: a few MB)."""
    workspace = workspace or shared_workspace()
    x, window = _thin(x, window, out.shape[2:])
    filters = _by_group(weights.reshape(weights.shape[0], -1), group)
    for tile in conv_tiles(x, window, out.shape[2:], budget):
        columns = _by_group(tile_columns(x, tile, window, workspace), group)
        product, owned = _product_place(out, tile, workspace)
        np.matmul(filters, columns, out=_by_group(product, group))
        if bias is not None:
            product += bias[:, None]
        if not owned:
            _write_tile(product, out, tile)


def conv_backward_data(
    dout: Array,
    weights: Array,
    dx: Array,
    window: Window,
    group: int = 1,
    workspace: Workspace | None = None,
    budget: int | None = None,
) -> None:
    """Write dx = col2im(W^T dout)."""
    workspace = workspace or shared_workspace()
    if _mirrors(window) and dout.shape[1] <= 2 * dx.shape[1]:
        mirror, mirrored = _mirror(weights, window, group, workspace)
        conv_forward(dout, mirror, None, dx, mirrored, group, workspace, budget)
        return
    outputs = dout.shape[2:]
    if not window.is_pointwise:
        dx[...] = 0
    dx, window = _thin(dx, window, outputs)
    filters = _by_group(weights.reshape(weights.shape[0], -1), group).transpose(0, 2, 1)
    times = np.multiply if filters.shape[2] == 1 else np.matmul
    for tile in conv_tiles(dx, window, outputs, budget):
        gradient = _by_group(tile_matrix(dout, tile, "gradient", workspace), group)
        if window.is_pointwise:
            product, owned = _product_place(dx, tile, workspace)
            times(filters, gradient, out=_by_group(product, group))
            if not owned:
                _write_tile(product, dx, tile)
            continue
        shape = (dx.shape[1], *window.kernel, *tile.outputs, tile.images)
        entries = workspace.array("columns", shape, dx.dtype)
        times(filters, gradient, out=entries.reshape(group, -1, tile.columns))
        scatter_columns(entries, tile, window, dx, workspace)


def conv_backward_weights(
    x: Array,
    dout: Array,
    dweights: Array,
    window: Window,
    group: int = 1,
    workspace: Workspace | None = None,
    budget: int | None = None,
) -> None:
    """Add dout X^T to dweights."""
    workspace = workspace or shared_workspace()
    x, window = _thin(x, window, dout.shape[2:])
    total = dweights.reshape(group, dweights.shape[0] // group, -1)
    part = workspace.array("product", total.shape, x.dtype)
    for tile in conv_tiles(x, window, dout.shape[2:], budget):
        columns = _by_group(tile_columns(x, tile, window, workspace), group)
        gradient = _by_group(tile_matrix(dout, tile, "gradient", workspace), group)
        np.matmul(gradient, columns.transpose(0, 2, 1), out=part)
        total += part


def conv_backward_bias(dout: Array, dbias: Array) -> None:
    """Add the sum of dout over images and positions to dbias."""
    planes = dout.reshape(*dout.shape[:2], math.prod(dout.shape[2:]))
    dbias += planes.sum(axis=2).sum(axis=0)


def add_bias(out: Array, bias: Array) -> None:
    """Add bias (M,) to every image and position of out (N, M, *outputs)."""
    out += bias.reshape(-1, *(1,) * (out.ndim - 2))


def _thin(x: Array, window: Window, outputs: Shape) -> tuple[Array, Window]:
    """A 1x1 window without pad reads only every stride-th position: keep those, with stride 1."""
    if window.taps != 1 or any(window.pad) or window.is_pointwise:
        return x, window
    axes = zip(outputs, window.stride, strict=True)
    read = (slice(0, (count - 1) * stride + 1, stride) for count, stride in axes)
    index: tuple[Any, ...] = (..., *read)
    return x[index], Window.of(window.kernel)


def _mirrors(window: Window) -> bool:
    """Whether the gradient towards the data is itself a convolution (stride 1, some window)."""
    axes = zip(window.pad, window.span, strict=True)
    fits = all(pad < span for pad, span in axes) and all(s == 1 for s in window.stride)
    return fits and not window.is_pointwise


def _mirror(
    weights: Array, window: Window, group: int, workspace: Workspace
) -> tuple[Array, Window]:
    """The filters and window that carry dout to dx at stride 1.

    dx[c, i] = sum over m and taps of W[m, c, t] dout[m, i + pad - t * dilation]: a convolution with
    the taps in reverse, inputs and outputs exchanged, and pad' = span - 1 - pad. Reading dout's
    columns once is cheaper than adding up dx's.
    """
    rank = len(window.kernel)
    outputs, inputs = weights.shape[0] // group, weights.shape[1]
    grouped = weights.reshape(group, outputs, inputs, *window.kernel)
    reverse: tuple[Any, ...] = (..., *(slice(None, None, -1),) * rank)
    swapped = np.swapaxes(grouped, 1, 2)[reverse]
    mirror = workspace.array("mirror", swapped.shape, weights.dtype)
    np.copyto(mirror, swapped)
    pad = tuple(span - 1 - pad for span, pad in zip(window.span, window.pad, strict=True))
    filters = mirror.reshape(group * inputs, outputs, *window.kernel)
    return filters, Window(window.kernel, window.stride, pad, window.dilation)


def _by_group(matrix: Array, group: int) -> Array:
    """View rows as (group, rows / group, columns)."""
    return matrix.reshape(group, matrix.shape[0] // group, matrix.shape[1])


def _product_place(out: Array, tile: Tile, workspace: Workspace) -> tuple[Array, bool]:
    """Where a tile's product (M, columns) goes: straight into `out` (True) or to scratch."""
    if tile.images == 1:
        view = merged(out[tile.first][(slice(None), *tile.box)])
        if view is not None:
            return view, True
    return workspace.array("product", (out.shape[1], tile.columns), out.dtype), False


def _write_tile(product: Array, out: Array, tile: Tile) -> None:
    """Copy a product (M, outputs * images) to its place in out (N, M, *outputs)."""
    shaped = product.reshape(out.shape[1], *tile.outputs, tile.images)
    out[(tile.image_slice, slice(None), *tile.box)] = np.moveaxis(shaped, -1, 0)
