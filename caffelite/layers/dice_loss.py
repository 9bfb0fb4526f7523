"""DiceLoss: how far two masks are from lying on each other."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, register, show
from caffelite.layers.cases import Case, random

EPS = 1e-6


@register
class DiceLoss(LossLayer):
    """L = 1 − (2·Σ t·p + ε)/(Σ (t + p) + ε) with p = σ(x), targets t and ε = 10⁻⁶, over all values
    of the batch.

    Gradient: ∂L/∂x = p·(1 − p)·(u/d − 2t)/d, u and d being what is divided and what it is divided
    by.
    Shapes: x and t with equally many values, L (). Forks whose layer of this name takes a class for
    each place are refused by the shape.
    Source: Milletari, Navab & Ahmadi 2016, V-Net; 198808xc/OrganSegC2F and OrganSegRSTN.
    """

    prediction = "Sigmoid"
    backward_reads = ("bottom",)
    extension = "198808xc/OrganSegC2F, OrganSegRSTN"
    cases = (
        Case(
            'type: "DiceLoss"',
            # p is 1/2 and 3/4
            {"x": [[0.0, math.log(3)]], "t": [[0.0, 1.0]]},
            {"loss": 1 - (1.5 + EPS) / (2.25 + EPS)},
        ),
        Case(
            'type: "DiceLoss" loss_weight: 2',
            {"x": random(2, 1, 3, 4), "t": random(2, 3, 4, low=0, high=1)},
            tops=["loss"],
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if math.prod(bottom[0]) != math.prod(bottom[1]):
            self.fail(
                f'targets "{self.spec.bottom[1]}" are {show(bottom[1])}, but "'
                f'{self.spec.bottom[0]}" is {show(bottom[0])}',
                "bottom",
                index=1,
                expected="equally many values",
            )
        return [()]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x = bottom[0]
        with np.errstate(over="ignore"):
            self._p = 1 / (1 + np.exp(-x))
        t = bottom[1].reshape(x.shape)
        self._up = 2 * np.vdot(t, self._p) + EPS
        self._down = t.sum() + self._p.sum() + EPS
        top[0][()] = 1 - self._up / self._down

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            t = bottom[1].reshape(dx.shape)
            np.subtract(self._up / self._down, 2 * t, dx)
            dx *= self._p * (1 - self._p) * (top_diff[0] / self._down)
