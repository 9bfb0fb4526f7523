"""Non-maximum suppression of boxes (x, y, width, height)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from caffelite.blob import Array
from caffelite.errors import DataError, Problem
from caffelite.layers.detection_output import thin_out

SOFT_NMSMETHOD_SOFTNMS_LINEAR, SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN = 1, 2
Indices = Union[Array, tuple[()]]
"""int32, best first; an empty tuple where nothing is kept, as in OpenCV."""


def NMSBoxes(
    bboxes: Sequence[Any] | Array,
    scores: Sequence[float] | Array,
    score_threshold: float,
    nms_threshold: float,
    eta: float = 1.0,
    top_k: int = 0,
) -> Indices:
    """Which boxes are kept, by index, best first.

    Only boxes that score above `score_threshold` count, of these the `top_k` best (0: all). A box
    is kept unless it overlaps a better one that is kept by more than `nms_threshold` (intersection
    over union). While that is above 0.5 it is multiplied by `eta` after each box kept.
    Raises DataError where numbers do not fit."""
    boxes, values = _checked(bboxes, scores, score_threshold, nms_threshold, eta)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > np.float32(score_threshold)]
    if top_k > 0:
        order = order[:top_k]
    kept = thin_out(corners, order, nms_threshold, eta)
    return np.array(kept, np.int32) if kept else ()


def NMSBoxesBatched(
    bboxes: Sequence[Any] | Array,
    scores: Sequence[float] | Array,
    class_ids: Sequence[int] | Array,
    score_threshold: float,
    nms_threshold: float,
    eta: float = 1.0,
    top_k: int = 0,
) -> Indices:
    """As `NMSBoxes`, but only boxes of one class suppress each other. `top_k` counts the boxes of
    all classes together."""
    boxes, values = _checked(bboxes, scores, score_threshold, nms_threshold, eta)
    classes = np.asarray(class_ids).ravel()
    if len(classes) != len(boxes):
        raise DataError(f"{len(boxes)} boxes, but {len(classes)} classes")
    if not len(boxes):
        return ()
    # boxes of different classes are moved so far apart that they cannot overlap
    extent = (boxes[:, :2] + boxes[:, 2:]).max() - boxes[:, :2].min() + 1
    moved = boxes.copy()
    moved[:, :2] += (classes * extent)[:, None]
    return NMSBoxes(moved, values, score_threshold, nms_threshold, eta, top_k)


def softNMSBoxes(
    bboxes: Sequence[Any] | Array,
    scores: Sequence[float] | Array,
    score_threshold: float,
    nms_threshold: float,
    top_k: int = 0,
    sigma: float = 0.5,
    method: int = SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN,
) -> tuple[Indices, Indices]:
    """Scores and indices of the boxes, best first, where a box that overlaps a better one is not
    left out but scores less; those below `score_threshold` are left out.

    With o, the intersection over union, a score becomes s·exp(-o²/sigma)
    (SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN), or s·(1 - o) where o is above `nms_threshold`
    (SOFT_NMSMETHOD_SOFTNMS_LINEAR). At most `top_k` are taken (0: all). Scores are float32, as
    OpenCV's. Raises DataError where numbers do not fit. Source: Bodla et al., Soft-NMS, 2017."""
    boxes, values = _checked(bboxes, scores, score_threshold, nms_threshold, 1.0)
    if method not in (SOFT_NMSMETHOD_SOFTNMS_LINEAR, SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN):
        raise DataError(Problem(f"method={method}", expected="1 (linear) or 2 (Gaussian)"))
    if sigma <= 0:
        raise DataError(Problem(f"sigma={sigma}", expected="a number above 0"))
    values, least, one = values.copy(), np.float32(score_threshold), np.float32(1)
    left = np.flatnonzero(values >= least)
    found: list[int] = []
    while len(left) and (top_k <= 0 or len(found) < top_k):
        best = left[np.argmax(values[left])]
        found.append(int(best))
        left = left[left != best]
        overlap = _overlaps(boxes[best], boxes[left])
        if method == SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN:
            values[left] *= np.exp(-(overlap * overlap) / np.float32(sigma))
        else:
            values[left] *= np.where(overlap > np.float32(nms_threshold), one - overlap, one)
        left = left[values[left] >= least]
    return (values[found], np.array(found, np.int32)) if found else ((), ())


def _overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of a box with others, float32; 0 for boxes without an area."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    common = np.maximum(high - low, 0).prod(1)
    area = box[2:].prod() + others[:, 2:].prod(1)
    share = common / np.where(area > 0, area - common, 1)
    found: Array = np.float32(1) - (1 - share).astype(np.float32)
    return found


def _checked(
    bboxes: Any, scores: Any, score_threshold: float, nms_threshold: float, eta: float
) -> tuple[Array, Array]:
    boxes = np.asarray(bboxes, np.float64)
    values = np.asarray(scores, np.float32).ravel()
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(
            Problem(f"boxes of shape {boxes.shape}", expected="(x, y, width, height) for each")
        )
    if len(boxes) != len(values):
        raise DataError(f"{len(boxes)} boxes, but {len(values)} scores")
    check_thresholds(score_threshold, nms_threshold, eta)
    return boxes, values


def check_thresholds(score_threshold: float, nms_threshold: float, eta: float) -> None:
    """Raises DataError for numbers that these may not be."""
    if score_threshold < 0 or nms_threshold < 0 or eta <= 0:
        raise DataError("thresholds are 0 or more, and eta is above 0")
