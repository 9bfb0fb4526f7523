"""Rows picked by index: reading indices from a blob, and adding up the gradients of picked rows."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Layer


def read_index(layer: Layer, bottom: int, values: Array, limit: int, what: str, out: Array) -> None:
    """Write bottom number `bottom`'s values into the integers `out`, which has their count.

    Refuses a value that is no whole number from 0 to `limit` - 1, with its sample; `what` says what
    there are `limit` of."""
    flat = values.reshape(-1)
    # written so that nan, which compares as false, is refused too
    if flat.size and not (flat.min() >= 0 and flat.max() < limit):
        _refuse(layer, bottom, values, limit, what)
    np.copyto(out, flat, casting="unsafe")
    if not np.array_equal(out, flat):
        _refuse(layer, bottom, values, limit, what)


def _refuse(layer: Layer, bottom: int, values: Array, limit: int, what: str) -> None:
    flat, inner = values.reshape(-1), math.prod(values.shape[1:])
    good = (flat >= 0) & (flat < limit) & (flat == np.floor(flat))
    bad = int(np.flatnonzero(~good)[0])
    where = f"sample {bad // inner}" + (f", place {bad % inner}" if inner > 1 else "")
    layer.fail(
        f'bottom "{layer.spec.bottom[bottom]}": the index {flat[bad]:g} of {where} is none of the '
        f"{limit} {what}",
        "bottom",
        index=bottom,
        expected=f"whole numbers from 0 to {limit - 1}",
    )


def add_rows(target: Array, index: Array, rows: Array) -> None:
    """target[index[i]] += rows[i], for each i; an index that comes up twice is added twice."""
    if not index.size:
        return
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    # equal indices now stand together: add up each group, then each row of the target is met once
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    target[ordered[starts]] += np.add.reduceat(rows[order], starts, 0)
