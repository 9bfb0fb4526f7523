"""Sequences in blobs: how long they are, and which labels they have."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Layer


def lengths_of(indicators: Array) -> list[int]:
    """How long each sequence is, from indicators (T, N): it goes on while they are not 0, from the
    second step on."""
    rows = indicators.reshape(len(indicators), -1)
    goes_on = np.ones(rows.shape, bool)
    goes_on[1:] = np.logical_and.accumulate(rows[1:] >= 0.5, 0)
    return [int(n) for n in goes_on.sum(0)]


def read_labels(layer: Layer, bottom: int, values: Array, classes: int) -> Array:
    """The values of bottom number `bottom` as whole numbers; refused where one is none, or is
    `classes` or more. Negative ones are for the caller to judge."""
    good = values == np.floor(values)  # nan is not, and an infinity is not below
    good &= values < classes
    if not good.all():
        bad = float(values.reshape(-1)[np.flatnonzero(~good)[0]])
        layer.fail(
            f'bottom "{layer.spec.bottom[bottom]}": label {bad:g} is not a class: there are '
            f"{classes} classes",
            "bottom",
            index=bottom,
            expected=f"whole numbers from 0 to {classes - 1}",
        )
    return values.astype(np.intp)


def up_to(row: Array, *ends: int) -> list[int]:
    """The labels of a row before its first negative one, or one of `ends`."""
    found: list[int] = []
    for label in row.tolist():
        if label < 0 or label in ends:
            break
        found.append(label)
    return found


def edits(a: list[int], b: list[int]) -> int:
    """How many labels must be put in, left out or replaced to make one sequence the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            last, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, last + (x != y))
    return row[-1]
