"""Rotated boxes: (x, y, height, width, angle), the middle in pixels and degrees against the clock.

Source: Ma et al. 2018, Rotation proposals (RRPN).
"""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array

RATIOS = (0.2, 0.5, 1.0)
SCALES = (8.0, 16.0, 32.0)
ANGLES = (-30.0, 0.0, 30.0, 60.0, 90.0, 120.0)
BASE = 16


def rotated_anchors(scales: list[float]) -> Array:
    """(A, 5): for each ratio (height/width), each scale and each angle a box around pixel (7, 7).
    Sides are rounded, halves to even, before they are scaled."""
    middle, found = BASE // 2 - 1, []
    for ratio in RATIOS:
        width = np.round(np.sqrt(BASE * BASE / ratio))
        height = np.round(width * ratio)
        found += [(middle, middle, height * s, width * s, a) for s in scales for a in ANGLES]
    return np.array(found)


def corners(boxes: Array) -> Array:
    """(N, 4, 2): the corners of each box, one after the other."""
    turn = np.deg2rad(boxes[:, 4])
    across = boxes[:, 3, None] / 2 * np.stack([np.cos(turn), -np.sin(turn)], 1)
    down = boxes[:, 2, None] / 2 * np.stack([np.sin(turn), np.cos(turn)], 1)
    ways = np.stack([-across - down, across - down, across + down, down - across], 1)
    found: Array = boxes[:, None, :2] + ways
    return found


def rotated_overlaps(box: Array, others: Array) -> Array:
    """(N,): intersection over union of a box with each of the others."""
    a, b = corners(box[None]).repeat(len(others), 0), corners(others)
    points = np.concatenate([a, b, _crossings(a, b)], 1)
    inside = np.concatenate([_within(a, b), _within(b, a)], 1)
    known = np.concatenate([inside, ~np.isnan(points[:, 8:, 0])], 1)
    both = _hull(np.where(known[..., None], points, 0), known)
    area, areas = box[2] * box[3], others[:, 2] * others[:, 3]
    both = np.where((area > 0) & (areas > 0), both, 0)  # else every point is within
    whole = area + areas - both
    shares: Array = both / np.where(whole > 0, whole, 1)
    return shares


def _cross(a: Array, b: Array) -> Array:
    result: Array = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return result


def _within(points: Array, quads: Array) -> Array:
    """(N, 4): does each of four points lie in a quadrangle, its border included?"""
    sides = np.roll(quads, -1, 1) - quads
    turns = _cross(sides[:, None], points[:, :, None] - quads[:, None])
    slack = 1e-5 * np.abs(sides).max((1, 2))[:, None, None] ** 2
    result: Array = (turns >= -slack).all(2)
    return result


def _crossings(a: Array, b: Array) -> Array:
    """(N, 16, 2): where each side of one quadrangle meets each side of the other; nan: nowhere."""
    start, other = a[:, :, None], b[:, None]
    way, its = (np.roll(q, -1, 1) - q for q in (a, b))
    way, its = way[:, :, None], its[:, None]
    turn = _cross(way, its)
    flat = np.abs(turn) < 1e-12
    turn = np.where(flat, 1, turn)
    t = _cross(other - start, its) / turn
    u = _cross(other - start, way) / turn
    met = ~flat & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    found = np.where(met[..., None], start + t[..., None] * way, np.nan)
    return found.reshape(len(a), 16, 2)


def _hull(points: Array, known: Array) -> Array:
    """(N,): the area around the known points, which are corners of a convex shape."""
    count = known.sum(1)
    middle = points.sum(1) / np.maximum(count, 1)[:, None]
    off = np.where(known[..., None], points - middle[:, None], 0)
    order = np.argsort(np.where(known, np.arctan2(off[..., 1], off[..., 0]), 9), axis=1)
    ring = np.take_along_axis(off, order[..., None], 1)
    last = np.arange(points.shape[1]) >= count[:, None]
    ring = np.where(last[..., None], ring[:, :1], ring)  # what is left over closes the ring
    area: Array = np.abs(_cross(ring, np.roll(ring, -1, 1)).sum(1)) / 2
    return np.where(count > 2, area, 0)
