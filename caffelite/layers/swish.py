"""Swish: x gated by its own sigmoid."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.sigmoid import sigmoid
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class SwishParameter(LayerMessage, field="swish_param", number=147):
    """How sharp the gate is."""

    beta: float = field(1, "float", default=1.0, doc="factor on x in the sigmoid")


@register
class Swish(Layer):
    """y = x · σ(βx), with σ(x) = 1 / (1 + e^-x) and β = `beta`.

    Gradient: ∂L/∂x = ∂L/∂y · (βy + σ(βx) · (1 - βy)).
    Shapes: bottom and top alike, any.
    Source: Ramachandran, Zoph & Le 2017;
    https://caffe.berkeleyvision.org/tutorial/layers/swish.html
    """

    in_place = True
    backward_reads = ("top",)
    param: SwishParameter = param_of(SwishParameter)
    cases = (
        Case(
            'type: "Swish"',
            {"x": [[0.0, math.log(3), -math.log(3)]]},
            {"y": [[0.0, 0.75 * math.log(3), -0.25 * math.log(3)]]},
        ),
        Case(
            'type: "Swish" swish_param { beta: 2 }',
            {"x": [[1.0, math.log(2)]]},
            {"y": [[1 / (1 + math.exp(-2)), 0.8 * math.log(2)]]},
        ),
        Case('type: "Swish" swish_param { beta: -1.5 }', {"x": random(2, 3, 4, low=-3, high=3)}),
    )

    def prepare(self) -> None:
        self._gate = np.empty(self.bottom_shapes[0], self.dtype)
        self._slope = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.multiply(bottom[0], self.param.beta, self._gate)
        sigmoid(self._gate, self._gate)
        np.multiply(bottom[0], self._gate, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (y,), (dy,), (dx,), slope = top, top_diff, bottom_diff, self._slope
        if dx is None:
            return
        # βy + σ·(1 - βy) = σ + βy·(1 - σ)
        np.subtract(1, self._gate, slope)
        np.multiply(slope, y, slope)
        np.multiply(slope, self.param.beta, slope)
        np.add(slope, self._gate, slope)
        np.multiply(dy, slope, dx)
