"""SmoothL1Loss: squared for small errors, absolute for large ones."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import (
    Arrays,
    Diffs,
    Layer,
    LossLayer,
    Shapes,
    param_of,
    register,
    registry,
    show,
)
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter


class SmoothL1LossParameter(LayerMessage, field="smooth_l1_loss_param", number=8266712):
    """Where the square ends."""

    sigma: float = field(
        1, "float", default=1.0, above=0, most=1e9, doc="squared below an error of 1/sigma²"
    )


@register
class SmoothL1Loss(LossLayer):
    """L = (1/N) Σ w_out·f(d), with d = w_in·(a − b) and, for s = `sigma`²,
    f(d) = s·d²/2 where |d| < 1/s, |d| − 1/(2s) elsewhere.

    Gradients: ∂L/∂a = w_out·w_in·f′(d)/N with f′(d) = s·d where |d| < 1/s, sign d elsewhere;
    ∂L/∂b = −∂L/∂a. The weights get none.
    Shapes: a and b (N, …); the weights, if given, likewise: w_in alone as the third bottom, or
    w_in and w_out as the third and fourth (1 where not given); L (). With a second top, or a
    `loss_param`, the layer is SmoothL1LossOHEM, as R-FCN's fork once had it.
    Source: Girshick 2015, Fast R-CNN.
    """

    learns_labels = True
    bottoms = (2, 4)
    backward_reads = ("bottom",)
    extension = "Fast R-CNN fork (rbgirshick/caffe-fast-rcnn), smooth_l1_loss_param = 8266712"
    param: SmoothL1LossParameter = param_of(SmoothL1LossParameter)
    cases = (
        Case(
            'type: "SmoothL1Loss"',
            {"a": [[0.5, 2.0], [0.0, -3.0]], "b": [[0.0, 0.0], [0.0, 0.0]]},
            {"loss": (0.125 + 1.5 + 0 + 2.5) / 2},
        ),
        Case(
            'type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 2 }',
            # d is 0.2, 1, 4; the square ends at 1/4
            {
                "a": [[0.2, 0.5, 4.0]],
                "b": [[0.0, 0.0, 0.0]],
                "in": [[1.0, 2.0, 1.0]],
                "out": [[1.0, 1.0, 0.5]],
            },
            {"loss": 2 * 0.04 + (1 - 0.125) + 0.5 * (4 - 0.125)},
        ),
        Case(
            'type: "SmoothL1Loss" loss_weight: 2',
            {
                "a": random(2, 3, low=2, high=4),
                "b": random(2, 3),
                "in": random(2, 3, low=2, high=3),
            },
        ),
        Case(
            'type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 0.1 }',
            {"a": random(2, 3, 1, 1), "b": random(2, 3), "in": random(2, 3), "out": random(2, 3)},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        each = len(spec.top) > 1 or spec.has("loss_param")
        return registry["SmoothL1LossOHEM"] if each else cls

    def propagates(self, index: int) -> bool:
        return index < 2

    def setup(self, bottom: Shapes) -> None:
        self._s = self.param.sigma**2

    def reshape(self, bottom: Shapes) -> list[Shape]:
        for name, shape in zip(self.spec.bottom, bottom):
            if not shape or shape[0] != bottom[0][0] or math.prod(shape) != math.prod(bottom[0]):
                self.fail(
                    f'bottom "{name}" is {show(shape)}, but "{self.spec.bottom[0]}" is '
                    f"{show(bottom[0])}",
                    "bottom",
                    expected="bottoms of one shape",
                )
        return [()]

    def prepare(self) -> None:
        self._difference = np.empty(self.bottom_shapes[0], self.dtype)
        self._n = max(1, self.bottom_shapes[0][0])

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        d, s = self._difference, self._s
        a, b, *weights = (x.reshape(d.shape) for x in bottom)
        np.subtract(a, b, d)
        if weights:
            np.multiply(d, weights[0], d)
        size = np.abs(d)
        cost = np.where(size < 1 / s, (0.5 * s) * d * d, size - 0.5 / s)
        if len(weights) > 1:
            np.multiply(cost, weights[1], cost)
        top[0][()] = cost.sum() / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        d, s = self._difference, self._s
        slope = np.clip(s * d, -1, 1)  # f': the two branches meet at |d| = 1/s
        for weight in bottom[2:]:
            np.multiply(slope, weight.reshape(d.shape), slope)
        scale = top_diff[0] / self._n
        for dx, sign in zip(bottom_diff[:2], (1, -1)):
            if dx is not None:
                np.multiply(slope, sign * scale, dx.reshape(d.shape))
