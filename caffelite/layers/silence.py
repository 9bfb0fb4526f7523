"""Silence: takes blobs that nobody else reads."""

from __future__ import annotations

from caffelite.blob import Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, register
from caffelite.layers.cases import Case, random


@register
class Silence(Layer):
    """Reads its bottoms and does nothing, so that they do not count as outputs of the net.

    Gradient: ∂L/∂x = 0.
    Shapes: any; no tops.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/silence.html
    """

    bottoms = (1, ANY)
    tops = (0, 0)
    backward_reads = ()
    cases = (Case('type: "Silence"', {"x": random(2, 3), "z": random(4)}, tops=[]),)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return []

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        pass

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for dx in bottom_diff:
            if dx is not None:
                dx.fill(0)
