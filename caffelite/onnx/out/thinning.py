"""Boxes thinned out: the best first, those that overlap a better one left out.

Where the overlap is intersection over union, NonMaxSuppression does it. Other overlaps, and a
threshold that falls from box to box, are a Loop over the candidates, which asks of each whether it
meets one that is kept already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from caffelite.onnx import messages
from caffelite.onnx.out.place import Place
from caffelite.onnx.out.writer import Value, Writer

LOWEST = float(np.finfo(np.float32).min)
"""Scores below it are no candidates'."""
MANY = 2**31 - 1


def below(threshold: float) -> float:
    """The float32 before it: above it is what is at least the threshold."""
    return float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))


def best(at: Place, scores: str, good: str, most: int) -> tuple[str, str]:
    """The best scores (N, most) of those that are good, and their places; of equal ones the first
    comes first. What is no candidate has minus infinity, behind all others."""
    masked = at.op("Where", good, scores, float("-inf"))
    values, order = at.ops("TopK", masked, [most], outs=[None, None], axis=1)
    return values, order


def taken(at: Place, rows: str, order: str, width: int) -> str:
    """Of rows (N, n, width) those at places (N, k): (N, k, width)."""
    index = at.op("Expand", at.op("Unsqueeze", order, np.array([2])), [1, 1, width])
    return at.op("GatherElements", rows, index, axis=1)


def suppressed(
    at: Place, corners: str, scores: str, threshold: float, least: float | None, most: int
) -> str:
    """1 for the boxes that NonMaxSuppression keeps, 0 for others: (M, k), from corners (M, k, 4)
    and scores (M, 1, k), which have to be above `least`."""
    limits: list[Value] = [[most], np.array([min(threshold, 1.0)], np.float32)]
    if least is not None:
        limits.append(np.array([least], np.float32))
    chosen = at.op("NonMaxSuppression", corners, scores, *limits)  # (kept, 3): row, 0, box
    places = at.op("Gather", chosen, np.array([0, 2]), axis=1)
    flat = at.op("Squeeze", scores, np.array([1]))
    zeros = at.op("Expand", 0.0, at.op("Shape", flat))
    ones = at.op("Expand", 1.0, at.extents(places, 0, 1))
    return at.op("ScatterND", zeros, places, ones)


Meets = Callable[[Place, Sequence[str], Sequence[str], str], str]
"""Nodes that say which of all boxes, arrays (M, k, …), overlap a candidate, the same (M, 1, …), too
much, as booleans (M, k); the number of boxes kept so far, (M, 1), is given too."""


def thinned(at: Place, arrays: Sequence[str], scores: str, meets: Meets) -> str:
    """1 for the boxes that are kept, 0 for others, (M, k), best first as given."""
    alive = at.cast(at.op("Greater", scores, LOWEST), float)  # (M, k)
    zeros = at.op("Mul", alive, 0.0)
    number = at.op("Squeeze", at.extents(alive, 1, 2), np.array([0]))
    places = at.op("Range", np.array(0), number, np.array(1))
    each = at.reduce("ReduceSum", alive, [1], False)
    trips = at.cast(at.reduce("ReduceMax", each, [0], False), int)
    body = Writer(at.writer.opset, at.writer)
    inner = Place(at.layer, body, [], [], [], [])
    i, on, kept = (body.fresh(f"{at.layer.name}/{what}") for what in ("number", "go_on", "kept"))

    def one(x: str) -> str:
        return inner.op("Unsqueeze", inner.op("Gather", x, i, axis=1), np.array([1]))

    count = inner.reduce("ReduceSum", kept, [1], True)
    too_much = meets(inner, arrays, [one(x) for x in arrays], count)
    clash = inner.reduce("ReduceMax", inner.op("Mul", inner.cast(too_much, float), kept), [1], True)
    take = inner.op("Mul", one(alive), inner.op("Sub", 1.0, clash))
    here = inner.cast(inner.op("Equal", places, i), float)
    after = inner.op("Add", kept, inner.op("Mul", here, take))
    still = inner.op("Identity", on)
    graph = body.graph(
        f"{at.layer.name}/candidate",
        [
            messages.value_info(i, messages.INT64, []),
            messages.value_info(on, messages.BOOL, []),
            messages.value_info(kept, messages.FLOAT, None),
        ],
        [
            messages.value_info(still, messages.BOOL, []),
            messages.value_info(after, messages.FLOAT, None),
        ],
    )
    return at.op("Loop", trips, np.array(True), zeros, body=graph)


def thinned_whole(at: Place, boxes: str, scores: str, of: str, threshold: float) -> str:
    """As `thinned`, of corners (M, k, 4) where a box of x1 to x2 is x2 - x1 + 1 wide, by overlaps
    above a threshold: over the union (IOU), the smaller (IOMU), the better (IOFU)."""
    low, high = columns(at, boxes, 2, 2, 2)
    areas = at.reduce("ReduceProd", at.op("Add", at.op("Sub", high, low), 1.0), [2], False)

    def meets(inside: Place, all_: Sequence[str], one: Sequence[str], kept: str) -> str:
        sides = shared_sides(inside, all_[0], one[0])
        x, y = (inside.op("Squeeze", s, np.array([2])) for s in columns(inside, sides, 2, 1, 1))
        apart = inside.op(
            "Or", inside.op("Less", x, 0.0), inside.op("Not", inside.op("Greater", y, 0.0))
        )
        both = inside.op("Mul", inside.op("Add", x, 1.0), inside.op("Add", y, 1.0))
        both = inside.op("Where", apart, 0.0, both)
        if of == "IOU":
            whole = inside.op("Sub", inside.op("Add", all_[1], one[1]), both)
        elif of == "IOMU":
            whole = inside.op("Min", all_[1], one[1])
        else:
            whole = all_[1]
        return inside.op("Greater", both, inside.op("Mul", whole, float(threshold)))

    return thinned(at, [boxes, areas], scores, meets)


def first(at: Place, mask: str, most: int) -> str:
    """The mask (M, k) with the first so many ones of each row alone."""
    before = at.op("CumSum", mask, np.array(1))
    return at.op("Mul", mask, at.cast(at.op("Less", before, most + 0.5), float))


def picked(at: Place, mask: str, *arrays: str) -> list[str]:
    """The rows where the mask (M, k) is 1: which of M, (R, 1), then those of arrays (M, k, …)."""
    found = at.op("Transpose", at.op("NonZero", at.op("Greater", mask, 0.5)), perm=[1, 0])
    number = at.cast(at.slice(found, 1, 0, 1), float)
    return [number, *(at.op("GatherND", x, found) for x in arrays)]


def missing(at: Place, rows: str) -> str:
    """[1] if there are no rows, else [0]."""
    return at.cast(at.op("Equal", at.extents(rows, 0, 1), np.array([0])), int)


def or_nothing(at: Place, rows: str, images: str) -> str:
    """Rows (R, 7), or if there are none one for each image, its number and six times -1. `images`:
    their number, (1,)."""
    wanted = at.op("Mul", images, missing(at, rows))
    all_images = at.op("NonZero", at.op("Expand", 1.0, wanted))  # (1, wanted)
    numbers = at.cast(at.op("Transpose", all_images, perm=[1, 0]), float)
    blanks = at.op("Expand", -1.0, at.op("Concat", wanted, [6], axis=0))
    return at.op("Concat", rows, at.op("Concat", numbers, blanks, axis=1), axis=0)


def columns(at: Place, x: str, axis: int, *sizes: int) -> list[str]:
    """x cut along an axis."""
    outs: list[Any] = [None] * len(sizes)
    return at.ops("Split", x, list(sizes), outs=outs, axis=axis)


def shared_sides(at: Place, all_: str, one: str) -> str:
    """The sides of what boxes (M, k, 4) and one box (M, 1, 4), as corners, have in common; below 0
    where they are apart."""
    (low, high), (start, end) = (columns(at, x, 2, 2, 2) for x in (all_, one))
    return at.op("Sub", at.op("Min", high, end), at.op("Max", low, start))


def scaled(layer: Any, at: Place, codes: str) -> str:
    """Codes (…, 4) times the deviation plus the mean that bbox_reg_param gives."""
    std, mean = (np.asarray(v, np.float32) for v in (layer._std, layer._mean))
    return at.op("Add", at.op("Mul", codes, std), mean)
