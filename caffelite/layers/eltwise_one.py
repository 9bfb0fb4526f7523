"""EltwiseOne: one blob times a number."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.eltwise import EltwiseOp, EltwiseParameter


@register
class EltwiseOne(Layer):
    """y = c·x with c the one `coeff`, 1 if there is none: an Eltwise of one bottom. A layer of type
    "Eltwise" with one bottom and a `coeff` is this one.

    Gradient: c·∂L/∂y.
    Shapes: bottom and top alike, any.
    Source: lmb-freiburg/flownet2, where Eltwise takes one bottom.
    """

    bottoms = (1, 1)
    backward_reads = ()
    extension = 'FlowNet\'s forks; type "Eltwise" there'
    param: EltwiseParameter = param_of(EltwiseParameter)
    cases = (
        Case(
            'type: "EltwiseOne" eltwise_param { coeff: 2.5 }',
            {"x": [[1.0, -2.0]]},
            {"y": [[2.5, -5.0]]},
        ),
        Case('type: "EltwiseOne"', {"x": random(2, 3)}),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.operation != EltwiseOp.SUM:
            self.fail("one bottom has a sum alone", "eltwise_param", "operation", expected="SUM")
        if len(p.coeff) > 1:
            self.fail(f"{len(p.coeff)} coefficients for 1 bottom", "eltwise_param", "coeff")
        self._coeff = self.dtype.type(p.coeff[0] if p.coeff else 1)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [bottom[0]]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.multiply(bottom[0], self._coeff, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(top_diff[0], self._coeff, bottom_diff[0])
