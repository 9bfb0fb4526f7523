"""Sequences in blobs: how long they are, and which labels they have."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Layer, Shapes, show


def scores_of(layer: Layer, bottom: Shapes) -> tuple[int, int, int]:
    """Steps, sequences and classes of bottom 0; refused where it has other axes, or no values."""
    layer.need_values(bottom)
    scores = bottom[0]
    if len(scores) < 3 or math.prod(scores[3:]) != 1:
        layer.fail(
            f'scores "{layer.spec.bottom[0]}" are {show(scores)}',
            "bottom",
            expected="steps x sequences x classes",
        )
    return scores[0], scores[1], scores[2]


def refuse_beside(layer: Layer, index: int, shape: Shape, scores: Shape, expected: str) -> None:
    """Refuse a bottom whose shape does not fit the scores'."""
    layer.fail(
        f'bottom "{layer.spec.bottom[index]}" is {show(shape)}, but scores '
        f'"{layer.spec.bottom[0]}" are {show(scores)}',
        "bottom",
        index=index,
        expected=expected,
    )


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
