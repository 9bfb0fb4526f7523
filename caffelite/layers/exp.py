"""Exp: an exponential of any base."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ExpParameter(LayerMessage, field="exp_param", number=111):
    """The base, and what is done to x first."""

    base: float = field(1, "float", default=-1.0, doc="the base, above 0; -1 means e")
    scale: float = field(2, "float", default=1.0, doc="factor on x")
    shift: float = field(3, "float", default=0.0, doc="added to scale·x")


def log_of_base(layer: Layer, base: float, *path: str) -> float:
    """ln base; 1 for the base -1, which stands for e."""
    if base == -1:
        return 1.0
    if not 0 < base < math.inf:
        layer.fail(f"base is {base:g}", *path, expected="a base above 0, or -1 for e")
    return math.log(base)


@register
class Exp(Layer):
    """y = base^(shift + scale·x); base -1 means e.

    Gradient: ∂L/∂x = ∂L/∂y · y · scale · ln base.
    Shapes: bottom and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/exp.html
    """

    in_place = True
    backward_reads = ("top",)
    param: ExpParameter = param_of(ExpParameter)
    cases = (
        Case(
            'type: "Exp" exp_param { base: 2 scale: 3 shift: 1 }',
            {"x": [[0.0, 1.0, -1.0]]},
            {"y": [[2.0, 16.0, 0.25]]},
        ),
        Case('type: "Exp"', {"x": [0.0, math.log(5)]}, {"y": [1.0, 5.0]}),
        Case('type: "Exp" exp_param { shift: -0.5 scale: -2 }', {"x": random(2, 3)}),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        log_base = log_of_base(self, p.base, "exp_param", "base")
        self._rate = log_base * p.scale
        self._start = log_base * p.shift

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,) = bottom, top
        np.multiply(x, self._rate, y)
        np.add(y, self._start, y)
        np.exp(y, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (y,), (dy,), (dx,) = top, top_diff, bottom_diff
        if dx is not None:
            np.multiply(dy, y, dx)
            np.multiply(dx, self._rate, dx)
