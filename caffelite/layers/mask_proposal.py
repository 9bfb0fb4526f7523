"""MaskProposal: what is predicted of a region, as a mask."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case, random

SIDE = 21


@register
class MaskProposal(Layer):
    """The 441 values of each region as 21 rows of 21.

    `type: "Python"` of module pylayer.mask_layer, class MaskLayer, with the values of MNC's
    configuration; in training that layer has two bottoms and a top more, which are refused here.

    Gradient: ∂L/∂x = ∂L/∂y.
    Shapes: (R, 441), or any of as many values, to (R, 1, 21, 21).
    Source: Dai et al. 2016, Multi-task Network Cascades (daijifeng001/MNC).
    """

    backward_reads = ()
    rearranges = True
    extension = "MNC (pylayer.mask_layer)"
    python = (("mask_layer", "MaskLayer"),)
    cases = (
        Case(
            'type: "MaskProposal"',
            {"x": np.arange(441.0).reshape(1, 441)},
            {"y": np.arange(441.0).reshape(1, 1, 21, 21)},
        ),
        Case('type: "MaskProposal"', {"x": random(2, 441)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        if len(shape) < 2 or np.prod(shape[1:]) != SIDE * SIDE:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="R x 441")
        return [(shape[0], 1, SIDE, SIDE)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], bottom[0].reshape(top[0].shape))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], top_diff[0].reshape(bottom_diff[0].shape))
