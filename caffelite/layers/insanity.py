"""Insanity: a leaky rectifier whose slope is drawn anew for each value in training."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "insanity_param"


class InsanityParameter(LayerMessage, field=PARAM, number=1303):
    """What a value below 0 is divided by."""

    lb: float = field(1, "float", default=5.0, above=0, doc="at least")
    ub: float = field(2, "float", default=10.0, above=0, doc="at most; above lb")


@register
class Insanity(Layer):
    """y = x where x > 0, else x/a. In phase TRAIN each value has its own a, uniform from `lb` to
    `ub`; in phase TEST all have a = (ub − lb)/ln(ub/lb), the inverse of the mean of 1/a.

    Gradient: ∂L/∂x = ∂L/∂y where x > 0, ∂L/∂y / a elsewhere, with the a of the forward pass.
    Shapes: bottom and top alike, any.
    Source: Xu et al. 2015, Empirical Evaluation of Rectified Activations in Convolution Network
    (the randomized leaky rectifier). The fork allows bounds below 0 too.
    """

    rectifies = True
    in_place = True
    backward_reads = ("top",)
    extension = f"happynear/caffe-windows, there {PARAM} = 202"
    param: InsanityParameter = param_of(InsanityParameter)
    cases = (
        Case(
            f'type: "Insanity" {PARAM} {{ lb: 1 ub: 2 }}',
            {"x": [[-1.0, 0.0, 3.0]]},
            {"y": [[-math.log(2), 0.0, 3.0]]},
            phase=Phase.TEST,
        ),
        Case('type: "Insanity"', {"x": random(2, 3, 4)}),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if not p.ub > p.lb:
            self.fail(
                f"lb is {p.lb:g} and ub {p.ub:g}",
                PARAM,
                "ub" if p.has("ub") else "lb",
                expected="a larger ub",
            )
        self.draws = self.phase == Phase.TRAIN
        self.repeatable = not self.draws
        self.slope = math.log(p.ub / p.lb) / (p.ub - p.lb)

    def prepare(self) -> None:
        shape = self.bottom_shapes[0] if self.draws else ()
        self._slope = np.full(shape, self.slope, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y, p = bottom[0], top[0], self.param
        if self.draws:
            np.divide(1, self.rng.uniform(p.lb, p.ub, x.shape), out=self._slope, casting="unsafe")
        y[...] = np.where(x > 0, x, x * self._slope)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            factor = np.where(top[0] > 0, self.dtype.type(1), self._slope)
            np.multiply(top_diff[0], factor, bottom_diff[0])
