"""Eltwise: the sum, product or maximum of several blobs, element by element."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, param_of, register, registry
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage, LayerParameter


class EltwiseOp(IntEnum):
    """How the bottoms are combined."""

    PROD = 0
    SUM = 1
    MAX = 2


class EltwiseParameter(LayerMessage, field="eltwise_param", number=110):
    """How the bottoms are combined."""

    operation: EltwiseOp = field(1, EltwiseOp, default=EltwiseOp.SUM, doc="PROD, SUM or MAX")
    coeff: list[float] = repeated(2, "float", doc="SUM: a factor for each bottom; all 1 if none")
    stable_prod_grad: bool = field(
        3,
        "bool",
        default=True,
        doc="PROD: multiply the other bottoms, rather than divide y by x, for the gradient",
    )


@register
class Eltwise(Layer):
    """SUM: y = Σ_i c_i·x_i;  PROD: y = Π_i x_i;  MAX: y = max_i x_i.

    Gradients: SUM: ∂L/∂x_i = c_i·∂L/∂y.
    PROD: ∂L/∂x_i = ∂L/∂y · Π_{j≠i} x_j, or ∂L/∂y · y/x_i without `stable_prod_grad` (faster for
    many bottoms, NaN where x_i is 0).
    MAX: ∂L/∂x_i = ∂L/∂y where x_i is the largest, 0 elsewhere. Of equals, the first is taken, but
    the second bottom goes before the first.
    Shapes: bottoms and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/eltwise.html
    """

    bottoms = (2, ANY)
    param: EltwiseParameter = param_of(EltwiseParameter)
    cases = (
        Case(
            'type: "Eltwise" eltwise_param { operation: SUM coeff: 1 coeff: -2 }',
            {"a": [[1.0, 2.0, 3.0]], "b": [[0.5, -1.0, 1.0]]},
            {"y": [[0.0, 4.0, 1.0]]},
        ),
        Case(
            'type: "Eltwise"',
            {"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, -6.0]},
            {"y": [9.0, 0.0]},
        ),
        Case(
            'type: "Eltwise" eltwise_param { operation: PROD }',
            {"a": [1.0, 2.0, 0.0], "b": [3.0, 4.0, 5.0], "c": [5.0, -6.0, 7.0]},
            {"y": [15.0, -48.0, 0.0]},
        ),
        Case(
            'type: "Eltwise" eltwise_param { operation: PROD stable_prod_grad: false }',
            {"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, -6.0]},
            {"y": [15.0, -48.0]},
        ),
        Case(
            'type: "Eltwise" eltwise_param { operation: MAX }',
            {"a": [1.0, 2.0, 9.0], "b": [3.0, -4.0, 8.0], "c": [2.0, 5.0, 7.0]},
            {"y": [3.0, 5.0, 9.0]},
        ),
        Case(
            'type: "Eltwise" eltwise_param { operation: MAX }',
            {"a": random(2, 3, 4), "b": random(2, 3, 4)},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        one = len(spec.bottom) == 1 and bool(spec.get("eltwise_param").coeff)
        return registry["EltwiseOne"] if one else cls

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self._op = p.operation
        if p.coeff and self._op != EltwiseOp.SUM:
            self.fail(
                f"coefficients are for SUM, not for {self._op.name}", "eltwise_param", "coeff"
            )
        if p.coeff and len(p.coeff) != len(bottom):
            self.fail(
                f"{len(p.coeff)} coefficients for {len(bottom)} bottoms",
                "eltwise_param",
                "coeff",
                expected="one for each bottom, or none",
            )
        self._coeff = list(p.coeff) or [1.0] * len(bottom)
        if self._op != EltwiseOp.PROD:
            self.backward_reads = ()
        elif p.stable_prod_grad:
            self.backward_reads = ("bottom",)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.same_shapes(bottom)
        return [bottom[0]]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        if self._op == EltwiseOp.MAX:
            self._order = [1, 0, *range(2, len(self.bottom_shapes))]  # Caffe's, seen in ties
            self._winner = np.zeros(shape, np.int16)  # the largest bottom's place in the order
            self._place = np.empty(shape, np.int16)
            self._wins = np.empty(shape, bool)
        elif any(c != 1 for c in self._coeff[1:]):
            self._term = np.empty(shape, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (y,) = top
        if self._op == EltwiseOp.SUM:
            self._sum(bottom, y)
        elif self._op == EltwiseOp.PROD:
            np.multiply(bottom[0], bottom[1], y)
            for x in bottom[2:]:
                np.multiply(y, x, y)
        else:
            self._max(bottom, y)

    def _sum(self, bottom: Arrays, y: Array) -> None:
        np.multiply(bottom[0], self._coeff[0], y)
        for x, c in zip(bottom[1:], self._coeff[1:]):
            if c != 1:
                x = np.multiply(x, c, self._term)
            np.add(y, x, y)

    def _max(self, bottom: Arrays, y: Array) -> None:
        first, *others = self._order
        np.copyto(y, bottom[first])
        self._winner.fill(0)
        for place, i in enumerate(others, start=1):
            np.greater(bottom[i], y, self._wins)
            np.maximum(bottom[i], y, out=y)
            np.multiply(self._wins, np.int16(place), self._place)
            np.maximum(self._winner, self._place, out=self._winner)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (dy,) = top_diff
        for i, dx in enumerate(bottom_diff):
            if dx is None:
                continue
            if self._op == EltwiseOp.SUM:
                np.multiply(dy, self._coeff[i], dx)
            elif self._op == EltwiseOp.MAX:
                np.equal(self._winner, self._order.index(i), self._wins)
                np.multiply(dy, self._wins, dx)
            elif self.param.stable_prod_grad:
                np.copyto(dx, dy)
                for j, x in enumerate(bottom):
                    if j != i:
                        np.multiply(dx, x, dx)
            else:
                with np.errstate(divide="ignore", invalid="ignore"):
                    np.divide(top[0], bottom[i], dx)
                np.multiply(dx, dy, dx)
