"""Log: a logarithm of any base."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.exp import log_of_base
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class LogParameter(LayerMessage, field="log_param", number=134):
    """The base, and what is done to x first."""

    base: float = field(1, "float", default=-1.0, doc="the base, above 0; -1 means e")
    scale: float = field(2, "float", default=1.0, doc="factor on x")
    shift: float = field(3, "float", default=0.0, doc="added to scale·x")


@register
class Log(Layer):
    """y = log_base(shift + scale·x); base -1 means e.

    Gradient: ∂L/∂x = ∂L/∂y · scale / ((shift + scale·x) · ln base).
    Shapes: bottom and top alike, any. Where shift + scale·x is below 0, y is NaN, at 0 it is -inf.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/log.html
    """

    backward_reads = ("bottom",)
    param: LogParameter = param_of(LogParameter)
    cases = (
        Case(
            'type: "Log" log_param { base: 2 scale: 3 shift: 1 }',
            {"x": [[0.0, 1.0, 5.0]]},
            {"y": [[0.0, 2.0, 4.0]]},
        ),
        Case('type: "Log"', {"x": [1.0, math.exp(2)]}, {"y": [0.0, 2.0]}),
        Case('type: "Log" log_param { scale: -1 shift: 3 }', {"x": random(2, 3)}),
    )

    def setup(self, bottom: Shapes) -> None:
        self._log_base = log_of_base(self, self.param.base, "log_param", "base")
        if self._log_base == 0:
            self.fail("there is no logarithm of base 1", "log_param", "base")

    def why_not_finite(self, bottom: Arrays) -> str:
        x = self.param.shift + self.param.scale * bottom[0]
        zero, below = int((x == 0).sum()), int((x < 0).sum())
        if not zero + below:
            return ""
        return (
            f"it takes the logarithm of 0 {zero} times, of less than 0 {below} times; a small "
            "log_param { shift: 1e-6 }, or a layer before it that is above 0, prevents that"
        )

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,), p = bottom, top, self.param
        np.multiply(x, p.scale, y)
        np.add(y, p.shift, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(y, y)
        np.multiply(y, 1 / self._log_base, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (x,), (dy,), (dx,), p = bottom, top_diff, bottom_diff, self.param
        if dx is None:
            return
        np.multiply(x, p.scale, dx)
        np.add(dx, p.shift, dx)
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(dy, dx, dx)
        np.multiply(dx, p.scale / self._log_base, dx)
