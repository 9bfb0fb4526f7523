"""Sigmoid: the logistic function."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Arrays, Diffs, Layer, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.common import NO_CHOICE, Engine
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class SigmoidParameter(LayerMessage, field="sigmoid_param", number=124):
    """Nothing of effect."""

    engine: Engine = field(1, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)


def sigmoid(x: Array, y: Array) -> None:
    """y = 1 / (1 + e^-x), which is ½ tanh(½x) + ½: this way nothing overflows."""
    np.multiply(x, 0.5, y)
    np.tanh(y, y)
    np.multiply(y, 0.5, y)
    np.add(y, 0.5, y)


@register
class Sigmoid(Layer):
    """y = σ(x) = 1 / (1 + e^-x).

    Gradient: ∂L/∂x = ∂L/∂y · y · (1 - y).
    Shapes: bottom and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/sigmoid.html
    """

    gives_probability = True
    in_place = True
    backward_reads = ("top",)
    param: SigmoidParameter = param_of(SigmoidParameter)
    cases = (
        Case(
            'type: "Sigmoid"', {"x": [[0.0, math.log(3), -math.log(3)]]}, {"y": [[0.5, 0.75, 0.25]]}
        ),
        Case('type: "Sigmoid"', {"x": [-1e4, 1e4]}, {"y": [0.0, 1.0]}, note="no overflow"),
        Case('type: "Sigmoid"', {"x": random(2, 3, 4, low=-4, high=4)}),
    )

    def prepare(self) -> None:
        self._slope = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        sigmoid(bottom[0], top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (y,), (dy,), (dx,) = top, top_diff, bottom_diff
        if dx is not None:
            np.subtract(1, y, self._slope)
            np.multiply(y, self._slope, self._slope)
            np.multiply(dy, self._slope, dx)
