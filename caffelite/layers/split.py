"""Split: one blob under several names."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, register
from caffelite.layers.cases import Case, random


@register
class Split(Layer):
    """yᵢ = x, for each top i.

    A net seldom needs it: several layers may read one blob, and their gradients are added up.

    Gradient: ∂L/∂x = Σᵢ ∂L/∂yᵢ.
    Shapes: each top as the bottom.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/split.html
    """

    tops = (1, ANY)
    backward_reads = ()
    cases = (
        Case('type: "Split"', {"x": [[1.0, -2.0]]}, {"a": [[1.0, -2.0]], "b": [[1.0, -2.0]]}),
        Case('type: "Split"', {"x": random(2, 3)}, tops=["a", "b", "c"]),
        Case('type: "Split"', {"x": random(2)}, tops=["a"]),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [bottom[0]] * len(self.spec.top)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for y in top:
            np.copyto(y, bottom[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        np.copyto(dx, top_diff[0])
        for dy in top_diff[1:]:
            np.add(dx, dy, dx)
