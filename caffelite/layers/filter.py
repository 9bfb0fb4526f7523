"""Filter: the samples that a selector chooses."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case, random


@register
class Filter(Layer):
    """yₖ = the samples n of xₖ for which s_n ≠ 0, s being the last bottom, the selector.

    The tops' first extent is the number of chosen samples: it changes from pass to pass, and is 0
    when none is chosen.

    Gradient: ∂L/∂x_n is ∂L/∂y of that sample where it was chosen, else 0; none for the selector.
    Shapes: each xₖ (N, …), the selector (N,) or (N, 1, …); as many tops as there are xₖ, (M, …).
    Source: https://caffe.berkeleyvision.org/tutorial/layers/filter.html
    """

    bottoms = (2, ANY)
    tops = (1, ANY)
    dynamic = True
    backward_reads = ()
    cases = (
        Case(
            'type: "Filter"',
            {"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "choose": [1.0, 0.0, 1.0]},
            {"y": [[1.0, 2.0], [5.0, 6.0]]},
        ),
        Case(
            'type: "Filter"',
            {"x": random(4, 2), "z": random(4, 3, 2), "s": [[0.0], [-0.5], [2.0], [0.0]]},
            tops=["a", "b"],
        ),
        Case('type: "Filter"', {"x": random(2, 3), "s": [1.0, 1.0]}),
    )

    def setup(self, bottom: Shapes) -> None:
        if len(self.spec.top) != len(bottom) - 1:
            self.fail(
                f"{len(self.spec.top)} tops for {len(bottom) - 1} bottoms and a selector",
                "top",
                expected="a top for each bottom but the last, which selects",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        *data, selector = bottom
        if not selector or math.prod(selector[1:]) != 1:
            self.fail(
                f'the selector "{self.spec.bottom[-1]}" is {show(selector)}',
                "bottom",
                expected="one value a sample",
            )
        for name, shape in zip(self.spec.bottom, data):
            if shape[:1] != selector[:1]:
                self.fail(
                    f'bottom "{name}" is {show(shape)}, but the selector is {show(selector)}',
                    "bottom",
                    expected=f"{selector[0]} samples",
                )
        return list(data)

    def reshape_to(self, bottom: Arrays) -> list[Shape]:
        chosen = len(_chosen(bottom))
        return [(chosen, *x.shape[1:]) for x in bottom[:-1]]

    def propagates(self, index: int) -> bool:
        return index < len(self.spec.bottom) - 1

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        self._index = _chosen(bottom)
        for x, y in zip(bottom, top):
            np.copyto(y, x[self._index])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for dy, dx in zip(top_diff, bottom_diff):
            if dx is not None:
                dx.fill(0)
                dx[self._index] = dy


def _chosen(bottom: Arrays) -> Array:
    """The samples whose selector is not 0."""
    return np.flatnonzero(bottom[-1])
