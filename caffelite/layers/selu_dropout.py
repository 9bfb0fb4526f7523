"""SeLuDropout: dropout that keeps mean and variance of SeLu's values."""

from __future__ import annotations

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class SeLuDropoutParameter(LayerMessage, field="selu_dropout_param", number=1172):
    """How much is dropped, and to what."""

    dropout_ratio: float = field(
        1, "float", default=0.1, least=0, below=1, doc="probability of being dropped"
    )
    alpha: float = field(2, "float", default=-1.75809934, doc="the value of what is dropped")


@register
class SeLuDropout(Layer):
    """TRAIN: y = a·(m·x + (1 - m)·α) + b, each m being 0 with probability p = `dropout_ratio`, else
    1, and α = `alpha`; a = ((1 - p)·(1 + α²·p))^-½ and b = -a·p·α keep the mean 0 and the variance
    1. TEST: y = x.

    Gradient: ∂L/∂x = ∂L/∂y · a·m, with the m of the forward pass; TEST: ∂L/∂x = ∂L/∂y.
    Shapes: bottom and top alike, any.
    Source: Klambauer et al. 2017, Self-Normalizing Neural Networks.
    """

    in_place = True
    backward_reads = ()
    extension = (
        "HolmesShuan/SNNs-Self-Normalizing-Neural-Networks-Caffe-Reimplementation, there "
        "selu_dropout_param = 162"
    )
    param: SeLuDropoutParameter = param_of(SeLuDropoutParameter)
    cases = (
        Case(
            'type: "SeLuDropout"',
            {"x": [[-1.0, 0.5, 2.0]]},
            {"y": [[-1.0, 0.5, 2.0]]},
            phase=Phase.TEST,
        ),
        Case(
            'type: "SeLuDropout" selu_dropout_param { dropout_ratio: 0.25 alpha: -2 }',
            # all alike, be it kept or dropped: (3/4·(1 + 4/4))^-½ = (2/3)^½, and -2·3/4 of it
            {"x": [[-2.0, -2.0]]},
            {"y": [[-2 * 0.75 * (2 / 3) ** 0.5] * 2]},
            gradient=False,  # by chance
        ),
        Case('type: "SeLuDropout" selu_dropout_param { dropout_ratio: 0 }', {"x": [[1.0, -3.0]]}),
    )

    def setup(self, bottom: Shapes) -> None:
        p, alpha = self.param.dropout_ratio, self.param.alpha
        self.repeatable = self.phase == Phase.TEST
        self._scale = ((1 - p) * (1 + alpha**2 * p)) ** -0.5
        self._shift = -self._scale * p * alpha

    def prepare(self) -> None:
        if self.phase == Phase.TRAIN:
            self._mask = np.zeros(self.bottom_shapes[0], bool)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,) = bottom, top
        np.copyto(y, x)
        if self.phase == Phase.TRAIN:
            # float32 for nets of any type: all drop the same
            chance = self.rng.random(x.shape, np.float32)
            np.less(chance, self.param.dropout_ratio, self._mask)
            y[self._mask] = self.param.alpha
            np.multiply(y, self._scale, y)
            np.add(y, self._shift, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        np.copyto(dx, top_diff[0])
        if self.phase == Phase.TRAIN:
            np.multiply(dx, self._scale, dx)
            dx[self._mask] = 0
