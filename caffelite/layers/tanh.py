"""TanH: the hyperbolic tangent."""

from __future__ import annotations

import math

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.common import NO_CHOICE, Engine
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class TanHParameter(LayerMessage, field="tanh_param", number=127):
    """Nothing of effect."""

    engine: Engine = field(1, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)


@register
class TanH(Layer):
    """y = tanh(x).

    Gradient: ∂L/∂x = ∂L/∂y · (1 - y²).
    Shapes: bottom and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/tanh.html
    """

    in_place = True
    backward_reads = ("top",)
    param: TanHParameter = param_of(TanHParameter)
    cases = (
        # tanh(ln √3) = (3 - 1) / (3 + 1)
        Case(
            'type: "TanH"',
            {"x": [[0.0, math.log(3) / 2, -math.log(3) / 2]]},
            {"y": [[0.0, 0.5, -0.5]]},
        ),
        Case('type: "TanH"', {"x": random(2, 3, 4, low=-2, high=2)}),
    )

    def prepare(self) -> None:
        self._slope = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.tanh(bottom[0], top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (y,), (dy,), (dx,) = top, top_diff, bottom_diff
        if dx is not None:
            np.multiply(y, y, self._slope)
            np.subtract(1, self._slope, self._slope)
            np.multiply(dy, self._slope, dx)
