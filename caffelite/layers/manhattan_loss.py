"""ManhattanLoss: the mean absolute distance of samples, under another name."""

from __future__ import annotations

from typing import ClassVar

from caffelite.layers.base import Layer, register
from caffelite.layers.cases import Case, random
from caffelite.layers.l1_loss import L1Loss
from caffelite.schema.net import LayerParameter


@register
class ManhattanLoss(L1Loss):
    """L = (1/N) · Σ |a − b|, over all values of the N samples.

    Gradients: ∂L/∂a = sign(a − b)/N, 0 where they are equal;  ∂L/∂b = −∂L/∂a. (In the fork
    d/(|d| + 0.001)/N with d = a − b.)
    Shapes: a and b (N, …) with equally many values a sample, L ().
    Source: qxcv/joint-regressor's fork.
    """

    extension = "the fork of joint-regressor (qxcv)"
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "ManhattanLoss"',
            {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[1.5, 0.0], [0.0, 4.5]]},
            {"loss": (2.5 + 3.5) / 2},
        ),
        Case(
            'type: "ManhattanLoss" loss_weight: 2',
            {"a": random(3, 2, 2, low=1, high=2), "b": random(3, 4)},
            tops=["loss"],
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return cls
