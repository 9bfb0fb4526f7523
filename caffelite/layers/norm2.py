"""Norm2: rows of length one, which pass no gradient."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, register, show
from caffelite.layers.cases import Case


@register
class Norm2(Layer):
    """y = x/|x| for each sample; a sample of zeros stays as it is.

    Gradient: none is passed, as in the class that it stands for: what is before it does not learn.
    (Normalize passes one.)
    Shapes: x (N, C, …) with one place, y (N, C).

    Also `type: "Python"` of the module norm2layer, class Norm2Layer.
    Source: luhaofang/tripletloss.
    """

    backward_reads = ()
    extension = "luhaofang/tripletloss, abby621/tripletloss"
    python = (("norm2layer", "Norm2Layer"),)
    cases = (
        Case(
            'type: "Norm2"',
            {"x": [[3.0, 4.0], [0.0, -2.0], [0.0, 0.0]]},
            {"y": [[0.6, 0.8], [0.0, -1.0], [0.0, 0.0]]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        if len(shape) < 2 or math.prod(shape[2:]) != 1:
            said = f'bottom "{self.spec.bottom[0]}" is {show(shape)}'
            self.fail(said, "bottom", expected="N x C, or N x C x 1 x 1")
        return [shape[:2]]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x = bottom[0].reshape(top[0].shape)
        length = np.sqrt(np.square(x).sum(1, keepdims=True))
        np.divide(x, np.where(length > 0, length, 1), top[0])
