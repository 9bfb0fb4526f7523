"""SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.solver.rules.base import Rule, Scalar, Vector, register_rule


@register_rule("SGD")
class SGD(Rule):
    """V ← μ·V + η·g;  W ← W − V, with the momentum μ, the learning rate η and the gradient g.

    Many texts write V ← μ·V − η·g; W ← W + V, or put η outside of V. The first is the same; with
    the second a change of η acts on past gradients too. This is Caffe's form.

    Fields: `momentum` μ. History: V.
    Source: Polyak 1964; https://caffe.berkeleyvision.org/tutorial/solver.html#sgd
    """

    histories = 1
    fields = ("momentum",)

    def prepare(self) -> None:
        self._momentum = self.number(self.param.momentum)

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
        xp.multiply(gradient, rate, out=scratch)
        xp.add(velocity, scratch, out=velocity)
        xp.subtract(weights, velocity, out=weights)
