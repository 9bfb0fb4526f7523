"""Convolution and its three gradients, as matrix products over tiles of columns.

For one image with columns X (C * taps, outputs), weights W (M, C * taps), output Y (M, outputs):

    forward          Y  = W X + b
    towards data     dX = W^T dY, then col2im
    towards weights  dW = dY X^T
    towards bias     db = sum of dY

Windows that move along rows in steps of 1 have their columns laid out in a cheaper way, see `rows`;
depthwise filters need none, see `depthwise`.

Groups cut channels and outputs into equal parts that are convolved separately. A deconvolution is
the same with the roles swapped: its forward pass is `conv_backward_data`, its gradient towards the
data is `conv_forward`, and its gradient towards the weights is `conv_backward_weights` with bottom
and top exchanged.

Shapes: x (N, C, *spatial), weights (M, C / group, *kernel), bias (M,), out (N, M, *outputs) with
outputs = window.output_shape(spatial).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from caffelite.kernels import depthwise, parallel
from caffelite.kernels.columns import (
    conv_tiles,
    merged,
    scatter_columns,
    tile_columns,
    tile_matrix,
)
from caffelite.kernels.outer import times_columns
from caffelite.kernels.rows import by_rows, row_filters, row_products, row_tiles, row_weights
from caffelite.kernels.tuned import Tuned
from caffelite.kernels.views import last_first
from caffelite.kernels.window import Shape, Tile, Window
from caffelite.kernels.workspace import Array, Workspace, in_frame, rectify, shared_workspace

PARALLEL_WORK: Tuned = 1 << 23
"""Fewer multiplications than this are done before another thread has woken."""
SUM_SIZE: Tuned = 1 << 17
"""So many values are summed by one thread before another is asked for help."""
SCALED: Tuned = 16
"""Filters are multiplied by factors if the output is so many times as large, else the output is."""
FEW: Tuned = 80
"""Products of fewer columns are slow."""
MANY: Tuned = 8
"""From so many channels on, the gradient towards the weights is faster by rows than by columns."""
WIDER: Tuned = 2
"""With up to so many outputs for each input the gradient towards the data is a convolution of its
own, where the window allows that; else columns are added up."""
LANES: Tuned = 8
LANE_BYTES = 8 << 20
"""The gradient towards the weights is summed in so many lanes side by side, which then are added in
their order. Lanes together take up to so many bytes, but there are two at least."""


@in_frame
def conv_forward(
    x: Array,
    weights: Array,
    bias: Array | None,
    out: Array,
    window: Window,
    group: int = 1,
    budget: int | None = None,
    relu: bool = False,
    factor: Array | None = None,
) -> None:
    """Write out = W X + b, and 0 for what is below 0 where `relu`; with `factor` (M,) it is
    f·(W X) + b.

    `budget` bounds the bytes of a tile's columns (default: a few MB), or of what a depthwise
    convolution takes beside its arrays."""
    is_depthwise = depthwise.is_depthwise(x, weights, group)
    if factor is not None and (is_depthwise or weights.size * SCALED <= out.size):
        weights, factor = _scaled(weights, factor, shared_workspace()), None
    if is_depthwise:
        depthwise.depthwise_forward(x, weights, bias, out, window, relu, budget)
        return
    x, window = _thin(x, window, out.shape[2:])
    rows = row_tiles(x[:, : weights.shape[1]], window, out.shape[2:], budget)
    if rows:
        filters = row_filters(weights, group, shared_workspace())
    else:
        filters = _by_group(weights.reshape(len(weights), -1), group)

    def in_rows(part: tuple[int, Tile]) -> None:
        at, tile = part
        channels, outputs = _share(x, group, at), _share(out, group, at)
        product = row_products(channels, filters[at], tile, window, shared_workspace())
        f, b = (None if a is None else _share(a, group, at, 0) for a in (factor, bias))
        _finish(product, f, b, relu)
        _put(product, outputs, tile)

    def in_columns(part: tuple[int, Tile]) -> None:
        at, tile = part
        workspace, outputs = shared_workspace(), _share(out, apart, at)
        columns = _by_group(tile_columns(_share(x, apart, at), tile, window, workspace), together)
        product, owned = _product_place(outputs, tile, workspace)
        np.matmul(_share(filters, apart, at, 0), columns, out=_by_group(product, together))
        f, b = (None if a is None else _share(a, apart, at, 0) for a in (factor, bias))
        _finish(product, f, b, relu)
        if not owned:
            _write_tile(product, outputs, tile)

    large = out.size * filters.shape[2] > PARALLEL_WORK
    if rows:
        parallel.run(in_rows, [(at, tile) for at in range(group) for tile in rows], large)
        return
    # where columns of all groups would be too few, each group has its own
    few = budget is not None and budget < FEW * x.shape[1] * window.taps * x.itemsize
    apart = group if few else 1
    together = group // apart
    tiles = conv_tiles(x[:, : x.shape[1] // apart], window, out.shape[2:], budget)
    parallel.run(in_columns, [(at, tile) for at in range(apart) for tile in tiles], large)


@in_frame
def conv_backward_data(
    dout: Array,
    weights: Array,
    dx: Array,
    window: Window,
    group: int = 1,
    budget: int | None = None,
) -> None:
    """Write dx = col2im(W^T dout)."""
    if depthwise.is_depthwise(dx, weights, group):
        depthwise.depthwise_backward_data(dout, weights, dx, window)
        return
    if _mirrors(window) and dout.shape[1] <= WIDER * dx.shape[1]:
        mirror, mirrored = _mirror(weights, window, group, shared_workspace())
        conv_forward(dout, mirror, None, dx, mirrored, group, budget)
        return
    outputs = dout.shape[2:]
    if not window.is_pointwise:
        dx[...] = 0
    dx, window = _thin(dx, window, outputs)
    filters = _by_group(weights.reshape(len(weights), -1), group).transpose(0, 2, 1)
    times = np.multiply if filters.shape[2] == 1 else np.matmul

    def add(tiles: list[Tile]) -> None:
        workspace = shared_workspace()
        for tile in tiles:
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

    tiles = conv_tiles(dx, window, outputs, budget)
    if not window.is_pointwise:  # tiles of the same images add to the same places
        firsts = sorted({tile.first for tile in tiles})
        parts = [[tile for tile in tiles if tile.first == first] for first in firsts]
    else:
        parts = [[tile] for tile in tiles]
    parallel.run(add, parts, dout.size * filters.shape[1] > PARALLEL_WORK)


@in_frame
def conv_backward_weights(
    x: Array,
    dout: Array,
    dweights: Array,
    window: Window,
    group: int = 1,
    budget: int | None = None,
    fresh: bool = False,
) -> None:
    """Add dout X^T to dweights; write it there where `fresh`."""
    put = np.copyto if fresh else _add
    if depthwise.is_depthwise(x, dweights, group):
        flat = dweights.reshape(len(dweights), -1)
        depthwise.depthwise_backward_weights(
            x, dout, window, lambda total: put(flat, total), shared_workspace()
        )
        return
    x, window = _thin(x, window, dout.shape[2:])
    rows = row_tiles(x[:, : dweights.shape[1]], window, dout.shape[2:], budget)
    large = dout.size * dweights[0].size > PARALLEL_WORK
    if rows and window.stride[0] == 1 and dweights.shape[1] >= MANY:
        for at in range(group):
            channels, outputs = _share(x, group, at), _share(dout, group, at)
            filters = by_rows(_share(dweights, group, at, 0))
            shape = (len(filters), filters.shape[1], math.prod(filters.shape[2:]))

            def row_part(tile: Tile, part: Array, of: Any = (channels, outputs)) -> None:
                row_weights(of[0], of[1], tile, window, part, shared_workspace())

            total = _in_lanes(row_part, rows, shape, x.dtype, large)
            put(filters, total.reshape(filters.shape))
        return

    def column_part(tile: Tile, part: Array) -> None:
        workspace = shared_workspace()
        columns = _by_group(tile_columns(x, tile, window, workspace), group)
        gradient = _by_group(tile_matrix(dout, tile, "gradient", workspace), group)
        times_columns(gradient, columns, (tile.outputs or (1,))[0], part)

    tiles = conv_tiles(x, window, dout.shape[2:], budget)
    shape = (group, len(dweights) // group, dweights[0].size)
    total = _in_lanes(column_part, tiles, shape, x.dtype, large)
    put(dweights, total.reshape(dweights.shape))


def _in_lanes(
    function: Callable[[Tile, Array], None],
    tiles: list[Tile],
    shape: Shape,
    dtype: Any,
    large: bool,
) -> Array:
    """The sum over all tiles of what function(tile, part) writes to `part`, the same for any number
    of threads."""
    size = max(1, math.prod(shape) * np.dtype(dtype).itemsize)
    count = min(len(tiles), max(2, min(LANES, LANE_BYTES // size)))
    if not count:
        return np.zeros(shape, dtype)
    totals = shared_workspace().array("lanes", (count, *shape), dtype)

    def lane(number: int) -> None:
        total = totals[number]
        first, *others = tiles[number * len(tiles) // count : (number + 1) * len(tiles) // count]
        function(first, total)
        if others:
            part = shared_workspace().array("product", shape, dtype)
            for tile in others:
                function(tile, part)
                np.add(total, part, out=total)

    parallel.run(lane, range(count), large)
    for other in totals[1:]:
        np.add(totals[0], other, out=totals[0])
    summed: Array = totals[0]
    return summed


def _add(to: Array, values: Array) -> None:
    np.add(to, values, out=to)


def _share(a: Array, group: int, at: int, axis: int = 1) -> Array:
    """The channels of one group."""
    size = a.shape[axis] // group
    return a[(slice(None),) * axis + (slice(at * size, (at + 1) * size),)]


def _finish(product: Array, factor: Array | None, bias: Array | None, relu: bool) -> None:
    """What is still to be done to a product (M, ...) while it is in the cache."""
    rest = (1,) * (product.ndim - 1)
    if factor is not None:
        np.multiply(product, factor.reshape(-1, *rest), out=product)
    if bias is not None:
        np.add(product, bias.reshape(-1, *rest), out=product)
    if relu:
        rectify(product, shared_workspace())


def _scaled(weights: Array, factor: Array, workspace: Workspace) -> Array:
    """Each filter times its factor."""
    scaled = workspace.array("scaled", weights.shape, weights.dtype)
    np.multiply(weights, factor.reshape(-1, *(1,) * (weights.ndim - 1)), out=scaled)
    return scaled


@in_frame
def conv_backward_bias(dout: Array, dbias: Array, fresh: bool = False) -> None:
    """Add the sum of dout over images and positions to dbias; write it there where `fresh`."""
    planes = dout.reshape(*dout.shape[:2], math.prod(dout.shape[2:]))
    sums = shared_workspace().array("lanes", planes.shape[:2], dout.dtype)

    def part(images: slice) -> None:
        np.add.reduce(planes[images], 2, out=sums[images])

    parts = parallel.slices(len(planes), SUM_SIZE // max(1, planes[:1].size))
    parallel.run(part, parts, planes.size > SUM_SIZE * 4)
    (np.copyto if fresh else _add)(dbias, np.add.reduce(sums, 0))


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
    _put(product.reshape(out.shape[1], *tile.outputs, tile.images), out, tile)


def _put(product: Array, out: Array, tile: Tile) -> None:
    """Copy a product (M, *outputs, images) to its place in out (N, M, *outputs)."""
    np.copyto(out[(tile.image_slice, slice(None), *tile.box)], last_first(product))
