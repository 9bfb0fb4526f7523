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

import numpy as np

from caffelite.kernels.workspace import Array, Workspace, shared_workspace


def lrn_forward(
    x: Array,
    out: Array,
    scale: Array,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    workspace: Workspace | None = None,
) -> None:
    """Write `scale` (shape of x, kept for the backward pass) and out = x * scale^-beta."""
    workspace = workspace or shared_workspace()
    square = workspace.array("square", x.shape[1:], x.dtype)
    for image, y, s in zip(x, out, scale, strict=True):
        np.multiply(image, image, out=square)
        _channel_sums(square, size, s)
        s *= alpha / size
        s += k
        _power(s, -beta, y, square)
        y *= image


def lrn_backward(
    x: Array,
    out: Array,
    scale: Array,
    dout: Array,
    dx: Array,
    size: int,
    alpha: float,
    beta: float,
    workspace: Workspace | None = None,
) -> None:
    """Write dx. `out` and `scale` are what `lrn_forward` wrote."""
    workspace = workspace or shared_workspace()
    ratio = workspace.array("ratio", x.shape[1:], x.dtype)
    total = workspace.array("total", x.shape[1:], x.dtype)
    root = workspace.array("root", x.shape[1:], x.dtype)
    for image, y, s, dy, d in zip(x, out, scale, dout, dx, strict=True):
        np.multiply(dy, y, out=ratio)
        ratio /= s
        _channel_sums(ratio, size, total)
        total *= image
        total *= 2 * alpha * beta / size
        _power(s, -beta, ratio, root)
        np.multiply(dy, ratio, out=d)
        d -= total


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
