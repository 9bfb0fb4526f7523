"""Geometry of boxes: arrays (number, 4) of x1, y1, x2, y2, mostly in parts of an image."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array

UNIT = np.array([0.0, 0.0, 1.0, 1.0])
"""The whole image."""


def area(boxes: Array) -> Array:
    """(x2 − x1)·(y2 − y1); 0 of a box that is turned over."""
    size: Array = np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)
    return size


def common(box: Array, others: Array) -> Array:
    """The area that a box has in common with each of the others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    size: Array = np.prod(np.maximum(high - low, 0), axis=1)
    return size


def jaccard(box: Array, others: Array) -> Array:
    """Common area over the area of both together, with each of the others."""
    shared = common(box, others)
    return _share(shared, area(box) + area(others) - shared)


def covered(boxes: Array, by: Array) -> Array:
    """The share of each box's area that lies in the box `by`."""
    return _share(common(by, boxes), area(boxes))


def covers(box: Array, others: Array) -> Array:
    """The share of the box's area that lies in each of the others."""
    return _share(common(box, others), np.broadcast_to(area(box), len(others)))


def _share(part: Array, whole: Array) -> Array:
    share: Array = np.where(part > 0, part / np.where(whole > 0, whole, 1), 0)
    return share


def project(boxes: Array, window: Array) -> tuple[Array, Array]:
    """The boxes in parts of the window, cut to it, and which of them have some area in it."""
    size = np.tile(window[2:] - window[:2], 2)
    inside = np.clip((boxes - np.tile(window[:2], 2)) / size, 0, 1)
    return inside, area(inside) > 0


def locate(window: Array, part: Array) -> Array:
    """Where a part of a window, in parts of it, is in the image."""
    place: Array = np.tile(window[:2], 2) + part * np.tile(window[2:] - window[:2], 2)
    return place


def mirrored(boxes: Array) -> Array:
    """The boxes of the image that is flipped left-right."""
    flipped: Array = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)
    return flipped
