"""Non-maximum suppression of boxes that are turned: ((x, y), (width, height), degrees)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.dnn.boxes import Indices, check_thresholds
from caffelite.errors import DataError, Problem

Point = tuple[float, float]


def NMSBoxesRotated(
    bboxes: Sequence[Any],
    scores: Sequence[float] | Array,
    score_threshold: float,
    nms_threshold: float,
    eta: float = 1.0,
    top_k: int = 0,
) -> Indices:
    """As `NMSBoxes`, for boxes ((x, y), (width, height), angle): centre, sides, and degrees by
    which they are turned clockwise. The intersection is that of the turned boxes. Raises DataError
    where numbers do not fit."""
    corners = [_corners(box) for box in bboxes]
    values = np.asarray(scores, np.float32).ravel()
    if len(corners) != len(values):
        raise DataError(f"{len(corners)} boxes, but {len(values)} scores")
    check_thresholds(score_threshold, nms_threshold, eta)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > np.float32(score_threshold)]
    kept: list[int] = []
    limit = nms_threshold
    for index in order[:top_k] if top_k > 0 else order:
        if all(_overlap(corners[index], corners[other]) <= limit for other in kept):
            kept.append(int(index))
            if eta < 1 and limit > 0.5:
                limit *= eta
    return np.array(kept, np.int32) if kept else ()


def _corners(box: Any) -> list[Point]:
    """The four corners, in one direction."""
    try:
        (x, y), (width, height), angle = box
        x, y, width, height, angle = (float(n) for n in (x, y, width, height, angle))
    except (TypeError, ValueError):
        raise DataError(
            Problem(f"a turned box: {box!r}", expected="((x, y), (width, height), degrees)")
        ) from None
    turn = math.radians(angle)
    cos, sin = math.cos(turn) / 2, math.sin(turn) / 2
    ends = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [
        (x + a * width * cos - b * height * sin, y + a * width * sin + b * height * cos)
        for a, b in ends
    ]


def _overlap(one: list[Point], other: list[Point]) -> float:
    """Intersection over union."""
    common = _area(_cut(one, other))
    both = _area(one) + _area(other) - common
    return common / both if both > 0 else 0.0


def _area(corners: list[Point]) -> float:
    pairs = zip(corners, [*corners[1:], *corners[:1]])
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in pairs)) / 2


def _cut(corners: list[Point], by: list[Point]) -> list[Point]:
    """What of a convex shape lies within another (Sutherland and Hodgman, 1974)."""
    for a, b in zip(by, [*by[1:], *by[:1]]):
        sides = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in corners]
        left: list[Point] = []
        for i, (p, side) in enumerate(zip(corners, sides)):
            q, beyond = corners[i - 1], sides[i - 1]
            if (side < 0) != (beyond < 0):
                t = beyond / (beyond - side)
                left.append((q[0] + t * (p[0] - q[0]), q[1] + t * (p[1] - q[1])))
            if side >= 0:
                left.append(p)
        corners = left
    return corners
