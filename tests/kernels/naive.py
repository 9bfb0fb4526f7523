"""The definitions as plain loops, in float64: what the kernels are held to."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from caffelite.kernels import Window


def positions(window: Window, output: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The input positions under one output, in the order of the taps."""
    return [
        tuple(
            o * s - p + t * d
            for o, s, p, t, d in zip(
                output, window.stride, window.pad, tap, window.dilation, strict=True
            )
        )
        for tap in itertools.product(*map(range, window.kernel))
    ]


def inside(position: tuple[int, ...], spatial: tuple[int, ...]) -> bool:
    return all(0 <= at < size for at, size in zip(position, spatial, strict=True))


def columns(x: Any, window: Window) -> Any:
    outputs = window.output_shape(x.shape[2:])
    n, c = x.shape[:2]
    result = np.zeros((n, c, window.taps, *outputs))
    for output in itertools.product(*map(range, outputs)):
        for tap, at in enumerate(positions(window, output)):
            if inside(at, x.shape[2:]):
                result[(slice(None), slice(None), tap, *output)] = x[(..., *at)]
    return result.reshape(n, c * window.taps, *outputs)


def convolution(x: Any, weights: Any, bias: Any, window: Window, group: int) -> Any:
    outputs = window.output_shape(x.shape[2:])
    n, m, per = x.shape[0], weights.shape[0], weights.shape[1]
    result = np.zeros((n, m, *outputs))
    for filter_, output in itertools.product(range(m), itertools.product(*map(range, outputs))):
        first = filter_ // (m // group) * per
        total = np.full(n, bias[filter_], float)
        taps = weights[filter_].reshape(per, -1)
        for tap, at in enumerate(positions(window, output)):
            if inside(at, x.shape[2:]):
                total += x[(slice(None), slice(first, first + per), *at)] @ taps[:, tap]
        result[(slice(None), filter_, *output)] = total
    return result


def max_pool(x: Any, window: Window, outputs: tuple[int, int]) -> tuple[Any, Any]:
    """Maxima and, as in Caffe, h * W + w of the first of each."""
    result = np.zeros((*x.shape[:2], *outputs))
    mask = np.zeros(result.shape, int)
    for n, c, *output in np.ndindex(*result.shape):
        best = -np.inf
        for h, w in positions(window, tuple(output)):
            if inside((h, w), x.shape[2:]) and x[n, c, h, w] > best:
                best, mask[(n, c, *output)] = x[n, c, h, w], h * x.shape[3] + w
        result[(n, c, *output)] = best
    return result, mask


def ave_pool(x: Any, window: Window, outputs: tuple[int, int]) -> Any:
    result = np.zeros((*x.shape[:2], *outputs))
    height, width = x.shape[2:]
    for oh, ow in np.ndindex(*outputs):
        top = oh * window.stride[0] - window.pad[0]
        left = ow * window.stride[1] - window.pad[1]
        bottom = min(top + window.kernel[0], height + window.pad[0])
        right = min(left + window.kernel[1], width + window.pad[1])
        size = (bottom - top) * (right - left)
        part = x[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        result[:, :, oh, ow] = part.sum(axis=(2, 3)) / size
    return result


def lrn(x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
    result = np.zeros(x.shape)
    for c in range(x.shape[1]):
        window = x[:, max(0, c - size // 2) : c + size // 2 + 1]
        scale = k + alpha / size * (window**2).sum(axis=1)
        result[:, c] = x[:, c] * scale**-beta
    return result
