"""Bilinear resizing with OpenCV's numbers (`cv2.resize`, INTER_LINEAR), which Caffe's are too."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array

ONE = 2048
"""Weights of images of bytes are multiples of 1/2048."""
KINDS = (np.uint8, np.uint16, np.int16, np.float32, np.float64)
"""The types of numbers that are resized."""


def resize_linear(
    image: Array, height: int, width: int, axis: int = 0, factor: float | None = None
) -> Array:
    """The image with `height` rows and `width` columns, which are the axes `axis` and `axis` + 1.

    Output column x looks at x' = (x + 1/2)·W/W' - 1/2 and mixes the two columns beside x', whatever
    the reduction; columns beyond an edge are the edge's. Rows likewise. Bytes are mixed in whole
    numbers, other integers as float32 and rounded. At exactly half the size the four pixels of each
    cell are averaged. `factor`, where the size was made by rounding W·factor and H·factor, is used
    for W'/W and H'/H. Types: one of `KINDS`."""
    rows, columns = image.shape[axis : axis + 2]
    if (rows, columns) == (height, width):
        return image.copy()
    # columns and what lies within a pixel are one axis, which is quick to pick from
    inner = math.prod(image.shape[axis + 2 :])
    flat = image.reshape(-1, rows, columns * inner)
    step_y = 1 / (factor or height / rows)
    step_x = 1 / (factor or width / columns)
    shape = (*image.shape[:axis], height, width, *image.shape[axis + 2 :])
    if _is_two(step_x) and _is_two(step_y):
        return _halved(flat, height, width, inner).reshape(shape)
    y0, y1, v = taps(height, rows, step_y)
    x0, x1, u = taps(width, columns, step_x)
    # beyond the left and the right edge one column counts alone; with bytes this rounds otherwise
    # than a mix of the column with itself, which is what happens above and below
    u[(x0 < 0) | (x1 > columns - 1)] = 0
    used, places = np.unique(np.clip([y0, y1], 0, rows - 1), return_inverse=True)
    y0, y1 = places.reshape(2, -1)
    x0, x1 = (spread(np.clip(x, 0, columns - 1), inner) for x in (x0, x1))
    return mix(flat[:, used], y0, y1, v[:, None], x0, x1, np.repeat(u, inner)).reshape(shape)


def mix(image: Array, y0: Array, y1: Array, v: Array, x0: Array, x1: Array, u: Array) -> Array:
    """Of images (n, rows, columns): columns `x0` and `x1` mixed with part `u` of the second, then
    rows with part `v`, a column of parts."""
    if image.dtype == np.uint8:
        u0, u1, v0, v1 = (np.rint(w * ONE).astype(np.int32) for w in (1 - u, u, 1 - v, v))
        wide = image.astype(np.int32)
        mixed = np.take(wide, x0, axis=2) * u0
        mixed += np.take(wide, x1, axis=2) * u1
        mixed >>= 4
        total = mixed[:, y0] * v0 >> 16
        total += mixed[:, y1] * v1 >> 16
        whole: Array = (total + 2 >> 2).astype(np.uint8)
        return whole
    kind = np.float64 if image.dtype == np.float64 else np.float32
    wide, u, v = image.astype(kind), u.astype(kind), v.astype(kind)
    rows = np.take(wide, x0, axis=2) * (1 - u) + np.take(wide, x1, axis=2) * u
    return _as(rows[:, y0] * (1 - v) + rows[:, y1] * v, image.dtype)


def taps(new: int, size: int, step: float) -> tuple[Array, Array, Array]:
    """For each output place the two input places, which may lie outside, and the second's part."""
    at = ((np.arange(new) + 0.5) * step - 0.5).astype(np.float32)
    first = np.floor(at)
    return first.astype(np.intp), first.astype(np.intp) + 1, at - first


def spread(places: Array, inner: int) -> Array:
    """Places of pixels as those of their `inner` values each."""
    return (places[:, None] * inner + np.arange(inner)).ravel()


def _is_two(step: float) -> bool:
    return bool(abs(step - 2) < np.finfo(np.float64).eps)


def _halved(flat: Array, height: int, width: int, inner: int) -> Array:
    """Averages of cells of two by two."""
    image = flat.reshape(*flat.shape[:2], -1, inner)
    more = [max(0, 2 * n - have) for n, have in zip((height, width), image.shape[1:3])]
    if any(more):  # the size was rounded up
        image = np.pad(image, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), "edge")
    whole = image.dtype.kind in "iu"
    wide = image[:, : 2 * height, : 2 * width].astype(np.int32 if whole else image.dtype)
    total = wide[:, ::2, ::2] + wide[:, 1::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, 1::2]
    mean: Array = (total + 2 >> 2).astype(image.dtype) if whole else total * image.dtype.type(0.25)
    return mean


def _as(values: Array, kind: np.dtype) -> Array:
    """Rounded to integers of a kind, where it is one of integers."""
    if kind.kind == "f":
        return values
    limits = np.iinfo(kind)
    rounded: Array = np.clip(np.rint(values), limits.min, limits.max).astype(kind)
    return rounded
