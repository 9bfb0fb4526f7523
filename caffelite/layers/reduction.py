"""Reduction: the values of each sample become one."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ReductionOp(IntEnum):
    """What becomes of the values."""

    SUM = 1
    ASUM = 2
    SUMSQ = 3
    MEAN = 4


class ReductionParameter(LayerMessage, field="reduction_param", number=136):
    """What is computed and over which axes."""

    operation: ReductionOp = field(
        1,
        ReductionOp,
        default=ReductionOp.SUM,
        doc="SUM; ASUM: of absolute values; SUMSQ: of squares; MEAN",
    )
    axis: int = field(2, "int32", default=0, doc="this axis and all after it are reduced")
    coeff: float = field(3, "float", default=1.0, doc="factor on the result")


@register
class Reduction(Layer):
    """SUM: y = c·Σᵢ xᵢ;  ASUM: y = c·Σᵢ |xᵢ|;  SUMSQ: y = c·Σᵢ xᵢ²;  MEAN: y = (c/D)·Σᵢ xᵢ,
    over the D values in the axes from `axis` on, with c = `coeff`.

    Gradient: SUM: ∂L/∂xᵢ = c·∂L/∂y;  ASUM: c·sign(xᵢ)·∂L/∂y;  SUMSQ: 2c·xᵢ·∂L/∂y;
    MEAN: (c/D)·∂L/∂y.
    Shapes: the axes before `axis` stay; by default (`axis` 0) the top is a scalar. It is no loss
    unless `loss_weight` says so.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/reduction.html
    """

    param: ReductionParameter = param_of(ReductionParameter)
    cases = (
        Case(
            'type: "Reduction" reduction_param { operation: MEAN axis: 1 }',
            {"x": [[1.0, 2.0, 6.0], [0.0, -2.0, -1.0]]},
            {"y": [3.0, -1.0]},
        ),
        Case('type: "Reduction"', {"x": [[1.0, 2.0], [3.0, -10.0]]}, {"y": -4.0}),
        Case(
            'type: "Reduction" reduction_param { operation: ASUM axis: -1 coeff: 0.5 }',
            {"x": [[1.0, -2.0], [3.0, -10.0]]},
            {"y": [1.5, 6.5]},
        ),
        Case(
            'type: "Reduction" reduction_param { operation: SUMSQ axis: 1 coeff: 2 }',
            {"x": [[1.0, -2.0], [3.0, -10.0]]},
            {"y": [10.0, 218.0]},
        ),
        Case(
            'type: "Reduction" loss_weight: 3 reduction_param { operation: SUMSQ }',
            {"x": random(2, 3, 2)},
            tops=["loss"],
        ),
        Case('type: "Reduction" reduction_param { axis: 2 coeff: -2 }', {"x": random(2, 3, 2, 2)}),
    )

    def setup(self, bottom: Shapes) -> None:
        op = self.param.operation
        self.backward_reads = ("bottom",) if op in (ReductionOp.ASUM, ReductionOp.SUMSQ) else ()

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,) = bottom
        axis = self.axis(self.param.axis, len(shape), "reduction_param", "axis")
        self._sizes = math.prod(shape[:axis]), math.prod(shape[axis:])
        return [shape[:axis]]

    def prepare(self) -> None:
        coeff, per_result = self.param.coeff, self._sizes[1]
        mean = self.param.operation == ReductionOp.MEAN and per_result > 0
        self._coeff = self.dtype.type(coeff / per_result if mean else coeff)
        if self.backward_reads:
            self._changed = np.empty(self._sizes, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = bottom[0].reshape(self._sizes), top[0].reshape(-1)
        if self.param.operation == ReductionOp.ASUM:
            x = np.abs(x, self._changed)
        elif self.param.operation == ReductionOp.SUMSQ:
            x = np.multiply(x, x, self._changed)
        np.add.reduce(x, 1, out=y)
        np.multiply(y, self._coeff, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        x, dx = bottom[0].reshape(self._sizes), bottom_diff[0].reshape(self._sizes)
        dy = top_diff[0].reshape(-1, 1) * self._coeff
        if self.param.operation == ReductionOp.ASUM:
            np.sign(x, dx)
            np.multiply(dx, dy, dx)
        elif self.param.operation == ReductionOp.SUMSQ:
            np.multiply(x, 2 * dy, dx)
        else:
            np.copyto(dx, dy)
