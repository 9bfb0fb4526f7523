"""Local response normalisation across channels, and its gradient.

    s_c = k + (alpha / size) * sum over |i - c| <= size // 2 of x_i^2        the scale
    y_c = x_c * s_c^-beta
    dx_c = dy_c * s_c^-beta - (2 alpha beta / size) * x_c * sum of dy_i y_i / s_i, same window

x is (N, C, *spatial); size is odd; channels beyond the ends count as 0. The sums are built from
shifted adds, not from running sums, which lose digits in float32 as they add and take away.
Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural
Networks, 2012; https://caffe.berkeleyvision.org/tutorial/layers/lrn.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from caffelite.kernels import parallel
from caffelite.kernels.window import even
from caffelite.kernels.workspace import Array, shared_workspace

TILE = 1 << 16
"""Values of one tile: several arrays of that size stay cached."""


def lrn_forward(
    x: Array,
    out: Array,
    scale: Array | None,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    scratch: int | None = None,
) -> None:
    """Write `scale` (shape of x, kept for the backward pass, if there is one) and
    out = x * scale^-beta. `scratch` bounds the bytes that each thread takes for it."""

    def part(x: Array, y: Array, s: Array | None = None) -> None:
        workspace = shared_workspace()
        square = workspace.array("square", x.shape, x.dtype)
        if s is None:
            s = workspace.array("total", x.shape, x.dtype)
        np.multiply(x, x, out=square)
        _channel_sums(square, size, s)
        s *= alpha / size
        s += k
        _power(s, -beta, y, square)
        y *= x

    tile = TILE if scratch is None else min(TILE, scratch // (2 * x.itemsize))
    _over_tiles(part, *(a for a in (x, out, scale) if a is not None), tile=tile)


def lrn_backward(
    x: Array,
    out: Array,
    scale: Array,
    dout: Array,
    dx: Array,
    size: int,
    alpha: float,
    beta: float,
) -> None:
    """Write dx. `out` and `scale` are what `lrn_forward` wrote."""

    def part(x: Array, y: Array, s: Array, dy: Array, d: Array) -> None:
        workspace = shared_workspace()
        ratio = workspace.array("ratio", x.shape, x.dtype)
        total = workspace.array("total", x.shape, x.dtype)
        root = workspace.array("root", x.shape, x.dtype)
        np.multiply(dy, y, out=ratio)
        ratio /= s
        _channel_sums(ratio, size, total)
        total *= x
        total *= 2 * alpha * beta / size
        _power(s, -beta, ratio, root)
        np.multiply(dy, ratio, out=d)
        d -= total

    _over_tiles(part, x, out, scale, dout, dx)


def _over_tiles(part: Callable[..., Any], *arrays: Array, tile: int | None = None) -> None:
    """Call part(arrays of one tile) for all channels of some rows of an image at a time."""
    images, channels, rows, *rest = (*arrays[0].shape, 1)[: max(3, arrays[0].ndim)]
    row = max(1, channels * math.prod(rest))
    stretches = parallel.slices(rows, even(rows, (tile or TILE) // row))
    parts = [(image, slice(None), stretch) for image in range(images) for stretch in stretches]

    def run(at: tuple[Any, ...]) -> None:
        part(*(a[at[: a.ndim]] for a in arrays))

    parallel.run(run, parts, arrays[0].size > TILE)


def _channel_sums(values: Array, size: int, out: Array) -> None:
    """out[c] = sum of values[c - size // 2 … c + size // 2], by shifted adds."""
    np.copyto(out, values)
    for shift in range(1, min(size // 2, values.shape[0] - 1) + 1):
        out[shift:] += values[:-shift]
        out[:-shift] += values[shift:]


def _power(base: Array, exponent: float, out: Array, scratch: Array) -> None:
    """out = base^exponent; the usual -0.75 by two square roots, several times faster."""
    if exponent == -0.75:
        np.sqrt(base, out=out)
        np.sqrt(out, out=scratch)
        out *= scratch
        np.reciprocal(out, out=out)
    else:
        np.power(base, exponent, out=out)
