"""Resizing in the five ways of `interp_mode`, with OpenCV's formulas (`cv2.resize`).

Output place x looks at x' = (x + 1/2)·W/W' − 1/2; places beyond an edge are the edge's. Images are
(C, H, W). Bytes are mixed in float64 and rounded, where OpenCV mixes whole numbers: cubic and
Lanczos values may differ by 1. The linear ones are OpenCV's own (`resize_linear`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from caffelite.blob import Array
from caffelite.data.augment.colors import as_bytes
from caffelite.data.resizing import resize_linear
from caffelite.schema.augment import Interp_mode

_A = -0.75
"""The free number of cubic interpolation; OpenCV's."""


def interpolate(image: Array, height: int, width: int, mode: Interp_mode) -> Array:
    """The image with other extents."""
    rows, columns = image.shape[1:]
    if (rows, columns) == (height, width):
        return image
    if mode == Interp_mode.LINEAR:
        return resize_linear(image, height, width, axis=1)
    if mode == Interp_mode.NEAREST:
        return image[:, _nearest(height, rows)][:, :, _nearest(width, columns)]
    weights: Callable[[int, int], Array] = _cubic if mode == Interp_mode.CUBIC else _lanczos
    if mode == Interp_mode.AREA:
        weights = _averages if height <= rows and width <= columns else _steps
    mixed = weights(height, rows) @ image.astype(np.float64) @ weights(width, columns).T
    if image.dtype != np.uint8:
        return np.asarray(mixed, image.dtype)
    halves = mode == Interp_mode.AREA and (2 * height, 2 * width) == (rows, columns)
    return np.asarray(np.floor(mixed + 0.5), np.uint8) if halves else as_bytes(mixed)


def _nearest(new: int, size: int) -> Array:
    scale = 1 / (new / size)  # not size / new: the last bit decides where a floor falls
    places: Array = np.minimum(np.floor(np.arange(new) * scale).astype(np.intp), size - 1)
    return places


def _matrix(first: Array, parts: Array, size: int) -> Array:
    """(new, size): each row has its `parts` (new, k) from the place `first` on."""
    weights = np.zeros((len(first), size))
    places = np.clip(first[:, None] + np.arange(parts.shape[1]), 0, size - 1)
    np.add.at(weights, (np.arange(len(first))[:, None], places), parts)
    return weights


def _cubic(new: int, size: int) -> Array:
    at = (np.arange(new) + 0.5) * (size / new) - 0.5
    low = np.floor(at)
    t = np.abs((at - low)[:, None] - np.arange(-1, 3))
    near = ((_A + 2) * t - (_A + 3)) * t * t + 1
    far = ((_A * t - 5 * _A) * t + 8 * _A) * t - 4 * _A
    return _matrix(low.astype(np.intp) - 1, np.where(t <= 1, near, far), size)


def _lanczos(new: int, size: int) -> Array:
    at = (np.arange(new) + 0.5) * (size / new) - 0.5
    low = np.floor(at)
    t = (at - low)[:, None] - np.arange(-3, 5)
    parts = np.sinc(t) * np.sinc(t / 4)
    return _matrix(low.astype(np.intp) - 3, parts / parts.sum(axis=1, keepdims=True), size)


def _averages(new: int, size: int) -> Array:
    """Each place is the mean of what it covers."""
    edges = np.arange(new + 1) * (size / new)
    low, high = np.arange(size), np.arange(1, size + 1)
    shared = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
    parts: Array = np.maximum(shared, 0)
    parts /= parts.sum(axis=1, keepdims=True)
    return parts


def _steps(new: int, size: int) -> Array:
    """AREA where a side grows: a pixel becomes a block, and only blocks' seams are mixed."""
    factor = new / size
    x = np.arange(new)
    low = np.floor(x * (1 / factor))
    part = ((x + 1) - (low + 1) * factor).astype(np.float32)
    part = np.where(part <= 0, 0, part - np.floor(part))
    return _matrix(low.astype(np.intp), np.stack([1 - part, part], axis=1), size)
