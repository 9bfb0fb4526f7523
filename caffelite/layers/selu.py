"""SeLu: the scaled exponential linear unit."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import FieldSpec, field
from caffelite.schema.net import LayerMessage


class SeLuParameter(LayerMessage, field="selu_param", number=1171):
    """The two factors."""

    alpha: float = field(2, "float", default=1.67326324, doc="-lambda·alpha: the value far below 0")


# a word of Python's, which no class can have as a name
SeLuParameter.add_field(
    "lambda", FieldSpec(1, "float", default=1.050700987, doc="factor on it all")
)


@register
class SeLu(Layer):
    """y = λ·x where x > 0, λ·α·(e^x - 1) elsewhere, with λ = `lambda` and α = `alpha`: with the
    values that they have if nothing is given, activations stay about 0 with a variance of 1.

    Gradient: ∂L/∂x = ∂L/∂y · λ where x > 0; ∂L/∂y · λ·α·e^x elsewhere.
    Shapes: bottom and top alike, any.
    Source: Klambauer et al. 2017, Self-Normalizing Neural Networks.
    """

    in_place = True
    backward_reads = ()
    extension = (
        "HolmesShuan/SNNs-Self-Normalizing-Neural-Networks-Caffe-Reimplementation, there "
        "selu_param = 161"
    )
    param: SeLuParameter = param_of(SeLuParameter)
    cases = (
        Case(
            'type: "SeLu" selu_param { lambda: 2 alpha: 1.5 }',
            {"x": [[-math.log(4), -math.log(2), 0.5, 2.0]]},
            {"y": [[-2.25, -1.5, 1.0, 4.0]]},
        ),
        Case(
            'type: "SeLu"',
            {"x": [[-math.log(2), 1.0]]},
            {"y": [[-1.050700987 * 1.67326324 / 2, 1.050700987]]},
        ),
        Case('type: "SeLu"', {"x": random(2, 3, 4, low=-3, high=3)}),
    )

    def prepare(self) -> None:
        self._slope = np.empty(self.bottom_shapes[0], self.dtype)
        self._below = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,), slope, below = bottom, top, self._slope, self._below
        factor, alpha = self.param.get("lambda"), self.param.alpha
        np.minimum(x, 0, out=below)
        np.exp(below, slope)
        np.multiply(slope, factor * alpha, slope)
        slope[x > 0] = factor
        np.expm1(below, below)
        np.multiply(below, factor * alpha, below)
        np.maximum(x, 0, out=y)
        np.multiply(y, factor, y)
        np.add(y, below, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(top_diff[0], self._slope, bottom_diff[0])
