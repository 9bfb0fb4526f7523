"""CTCGreedyDecoder: the class of each step, without repeats and blanks, moved together."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx.out.place import BIG, Place, Unsayable, says


@says("CTCGreedyDecoder")
def ctc_greedy_decoder(layer: Any, at: Place) -> None:
    """What is kept goes to the place that the number of kept ones before it says; the rest behind
    the end, which is cut off."""
    if layer._rows or (len(at.bottoms) == 3 and len(at.tops) > 1):
        raise Unsayable("its accuracy measures, which a net that is put to use does not")
    scores = at.op("Reshape", at.bottoms[0], [0, 0, layer._scores[2]])  # (T, N, C)
    classes = at.op("Transpose", at.op("ArgMax", scores, axis=2, keepdims=0), perm=[1, 0])
    kept = at.op("Not", at.op("Equal", classes, np.array(layer._blank)))
    if layer.param.ctc_merge_repeated:
        column = at.slice(classes, 1, 0, 1)
        none = at.op("Sub", at.op("Mul", column, np.array(0)), np.array(1))
        before = at.op("Concat", none, at.slice(classes, 1, 0, -1), axis=1)
        kept = at.op("And", kept, at.op("Not", at.op("Equal", classes, before)))
    lasts = _lasts(at) if len(at.bottoms) > 1 else None  # (N, T)
    if lasts is not None:
        kept = at.op("And", kept, lasts)
    places = at.op("CumSum", at.cast(kept, int), np.array(1))  # from 1; 0 is the place of the rest
    places = at.op("Mul", places, at.cast(kept, int))
    number = at.op("Add", at.op("Shape", classes), np.array([0, 1]))
    blanks = at.op("Expand", -1.0, number)
    values = at.op("ScatterElements", blanks, places, at.cast(classes, float), axis=1)
    labels = at.slice(values, 1, 1, BIG)
    at.op("Unsqueeze", labels, np.array([2, 3]), out=at.tops[0])
    if len(at.tops) > 1:
        best = at.op("Transpose", at.reduce("ReduceMax", scores, [2], False), perm=[1, 0])
        if lasts is not None:
            best = at.op("Where", lasts, best, 0.0)
        total = at.op("Neg", at.reduce("ReduceSum", best, [1], True))
        at.op("Unsqueeze", total, np.array([2, 3]), out=at.tops[1])


def _lasts(at: Place) -> str:
    """Whether a sequence still goes on, (N, T): until an indicator behind the first is 0."""
    marks = at.op("Reshape", at.bottoms[1], [0, 0])
    ends = at.op("Not", at.op("GreaterOrEqual", at.slice(marks, 0, 1, BIG), 0.5))
    first = at.op("Mul", at.slice(marks, 0, 0, 1), 0.0)
    ends = at.op("Concat", at.cast(first, int), at.cast(ends, int), axis=0)
    passed = at.op("CumSum", ends, np.array(0))
    return at.op("Transpose", at.op("Equal", passed, np.array(0)), perm=[1, 0])
