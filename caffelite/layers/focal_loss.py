"""FocalLoss: cross entropy in which samples that are right already count less."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import ClassVar

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Shapes, param_of, register
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.softmax_loss import SoftmaxWithLoss
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "focal_loss_param"


class FocalType(IntEnum):
    """Forms of the loss in the paper."""

    ORIGIN = 0
    LINEAR = 1


class FocalLossParameter(LayerMessage, field=PARAM, number=1124):
    """How much less samples count."""

    type: FocalType = field(1, FocalType, default=FocalType.ORIGIN, doc="ORIGIN; no other here")
    gamma: float = field(2, "float", default=2.0, least=0, doc="exponent of 1 − p")
    alpha: float = field(3, "float", default=0.25, least=0, doc="factor of all samples")
    beta: float = field(4, "float", default=1.0, idle="it belongs to LINEAR")


@register
class FocalLoss(SoftmaxWithLoss):
    """L = −(α/n) Σ_i (1 − p_i)^γ ln max(p_i, FLT_MIN), p_i being the softmax probability of sample
    i's label. n is set by `loss_param`, as in SoftmaxWithLoss.

    Gradient: ∂L/∂x_c = (α/n)·((1 − p)^γ − γ·p·(1 − p)^(γ−1)·ln p)·(p_c − [c is the label]).
    Shapes: as SoftmaxWithLoss; labels are classes. Forks whose layer of this name takes a sigmoid
    and a target of the scores' shape are refused by that shape.
    Source: Lin et al. 2017, Focal Loss for Dense Object Detection; zimenglan-sysu-512/Focal-Loss.
    """

    extension = f"zimenglan-sysu-512/Focal-Loss, there {PARAM} = 124"
    focal: FocalLossParameter = param_of(FocalLossParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            f'type: "FocalLoss" {PARAM} {{ alpha: 1 }}',
            # p is 3/4 and 1/2
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0]], "label": [1, 0]},
            {"loss": (math.log(4 / 3) / 16 + math.log(2) / 4) / 2},
        ),
        Case(
            f'type: "FocalLoss" {PARAM} {{ gamma: 1.5 }} '
            "loss_param { ignore_label: 9 normalization: BATCH_SIZE }",
            {"x": random(3, 2), "label": [1, 9, 0]},
            tops=["loss"],
        ),
        Case(
            'type: "FocalLoss" loss_weight: 2 loss_param { normalization: NONE }',
            {"x": random(2, 4, 3, 2), "label": labels(2, 3, 2, classes=4)},
            tops=["loss"],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        if self.focal.type != FocalType.ORIGIN:
            self.fail("the form LINEAR is not built in", PARAM, "type", expected="ORIGIN")

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, top)
        gamma, alpha = self.focal.gamma, self.focal.alpha
        p = self._flat[self._index]
        rest = np.maximum(1 - p, 0)
        # of a p that is 1 the second part is 0, whatever the power of 0
        power = np.power(rest, gamma - 1, where=rest > 0, out=np.zeros_like(rest))
        self._slope = alpha * (np.power(rest, gamma) - gamma * p * power * self._picked)
        np.multiply(self._picked, alpha * np.power(rest, gamma), self._picked)
        np.dot(self._picked, self._share, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, bottom_diff)
        dx = bottom_diff[0]
        if dx is not None:
            outer, _, inner = self._sizes
            places = dx.reshape(self._sizes)
            np.multiply(places, self._slope.reshape(outer, 1, inner), places)


@register
class SoftmaxFocalLoss(FocalLoss):
    """FocalLoss under another name.

    Gradient, shapes: as FocalLoss.
    Source: Lin et al. 2017, Focal Loss for Dense Object Detection.
    """

    extension = f"chuanqi305/FocalLoss, there {PARAM} = 151"
    cases = (
        Case(
            f'type: "SoftmaxFocalLoss" {PARAM} {{ alpha: 0.5 gamma: 1 }}',
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0]], "label": [1, 0]},
            {"loss": (math.log(4 / 3) / 4 + math.log(2) / 2) / 4},
        ),
    )
