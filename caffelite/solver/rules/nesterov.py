"""Nesterov: the accelerated gradient."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.solver.rules.base import Rule, Scalar, Vector, register_rule


@register_rule("Nesterov")
class Nesterov(Rule):
    """Momentum whose gradient is taken where the momentum alone would lead.

    Paper: V ← μ·V − η·∇L(W + μ·V);  W ← W + V. A net has only one place for its parameters, so
    Caffe keeps the look-ahead point P = W + μ·V there, and V with the other sign:

        V' = μ·V + η·g(P);  P ← P + μ·V − (1 + μ)·V'

    "back to W, the step, and ahead again". What is tested and saved is P.

    Fields: `momentum` μ. History: V.
    Source: Nesterov 1983; Sutskever et al. 2013, "On the importance of initialization and
    momentum in deep learning"; https://caffe.berkeleyvision.org/tutorial/solver.html#nag
    """

    histories = 1
    fields = ("momentum",)

    def prepare(self) -> None:
        self._momentum = self.number(self.param.momentum)
        self._over = self.number(1 + self.param.momentum)

    def update(
        self,
        weights: Vector,
        gradient: Vector,
        history: Sequence[Vector],
        rate: Scalar | Vector,
        scratch: Vector,
    ) -> None:
        xp, (velocity,) = self.xp, history
        xp.multiply(velocity, self._momentum, out=velocity)
        xp.add(weights, velocity, out=weights)
        xp.multiply(gradient, rate, out=scratch)
        xp.add(velocity, scratch, out=velocity)
        xp.multiply(velocity, self._over, out=scratch)
        xp.subtract(weights, scratch, out=weights)
