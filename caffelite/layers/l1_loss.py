"""L1Loss: the mean absolute distance of samples."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, register, registry
from caffelite.layers.cases import Case, random
from caffelite.layers.euclidean_loss import EuclideanLoss
from caffelite.schema.net import LayerParameter


@register
class L1Loss(EuclideanLoss):
    """L = (1/N) · Σ |a − b|, over all values of the N samples.

    Gradients: ∂L/∂a = sign(a − b)/N, 0 where they are equal;  ∂L/∂b = −∂L/∂a.
    Shapes: a and b (N, …) with equally many values a sample, L ().
    Also `type: "Python"` of the module pyloss, class L1 (PL4NN's): the mean over all values.
    Source: NVCaffe, whose DetectNet learns its boxes by it. FlowNet's layer of this name has a
    message of its own, l1_loss_param; with it, or with one bottom, the layer is FlowL1Loss.
    """

    extension = "NVCaffe"
    python = (("pyloss", "L1"),)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "L1Loss"',
            {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[1.0, 0.0], [0.0, 4.0]]},
            {"loss": (2 + 3) / 2},
            gradient=False,  # two of the values are equal: a kink
        ),
        Case(
            'type: "L1Loss" loss_weight: 2',
            {"a": random(3, 2, 2, low=1, high=2), "b": random(3, 4)},
            tops=["loss"],
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        flow = spec.has("l1_loss_param") or len(spec.bottom) == 1
        return registry["FlowL1Loss"] if flow else cls

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b = bottom
        np.subtract(a, b.reshape(a.shape), self._difference)
        top[0][()] = np.abs(self._difference).sum() / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        scale = top_diff[0] / self._n
        slope = np.sign(self._difference)
        for dx, sign in zip(bottom_diff, (1, -1)):
            if dx is not None:
                np.multiply(slope.reshape(dx.shape), sign * scale, dx)
