"""Gather and Scatter: a batch that is spread over processes, whole again; here there is one."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, register
from caffelite.layers.cases import Case, random


class PassingLayer(Layer):
    """yᵢ = xᵢ."""

    bottoms = (1, ANY)
    tops = (1, ANY)
    backward_reads = ()
    extension = "yjxiong/caffe, for temporal segment networks"

    def setup(self, bottom: Shapes) -> None:
        if len(self.spec.top) != len(bottom):
            count = f"{len(bottom)} bottoms and {len(self.spec.top)} tops"
            self.fail(f"it has {count}", "top", expected=f"{len(bottom)} tops, one for each bottom")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return list(bottom)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for x, y in zip(bottom, top):
            np.copyto(y, x)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for dy, dx in zip(top_diff, bottom_diff):
            if dx is not None:
                np.copyto(dx, dy)


@register
class Gather(PassingLayer):
    """yᵢ = xᵢ, for each bottom i.

    In the fork each process of a run gets the samples of all of them. Here each works on its own,
    and their gradients are added up, which is the same.

    Gradient: ∂L/∂xᵢ = ∂L/∂yᵢ.
    Shapes: each top as its bottom.
    Source: Wang et al. 2016, Temporal Segment Networks (its fork's code).
    """

    cases = (
        Case(
            'type: "Gather"',
            {"x": [[1.0, -2.0]], "label_local": [3.0]},
            {"y": [[1.0, -2.0]], "label": [3.0]},
        ),
        Case('type: "Gather"', {"x": random(2, 3)}),
    )


@register
class Scatter(PassingLayer):
    """yᵢ = xᵢ, for each bottom i.

    In the fork each process of a run keeps its own samples of those that all have. Here it has no
    others: see Gather.

    Gradient: ∂L/∂xᵢ = ∂L/∂yᵢ.
    Shapes: each top as its bottom.
    Source: Wang et al. 2016, Temporal Segment Networks (its fork's code).
    """

    cases = (
        Case('type: "Scatter"', {"x": [[1.0, -2.0]]}, {"y": [[1.0, -2.0]]}),
        Case('type: "Scatter"', {"x": random(2, 3), "z": random(2)}, tops=["y", "u"]),
    )
