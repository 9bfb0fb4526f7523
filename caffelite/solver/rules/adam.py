"""Adam: momentum, divided by the recent size of the gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence

from caffelite.solver.rules.base import Rule, Scalar, Vector, register_rule


@register_rule("Adam")
class Adam(Rule):
    """Element by element, in the iteration t = 1, 2, …:

        m ← β₁·m + (1 − β₁)·g
        v ← β₂·v + (1 − β₂)·g²
        W ← W − η · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + δ)

    Paper, algorithm 1: m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), W ← W − η·m̂ / (√v̂ + ε). Caffe's
    is the faster form at the end of the paper's section 2. The two are the same but for the
    small number: δ is the ε̂ there, ε = δ / √(1 − β₂ᵗ).

    Fields: `momentum` β₁ (the paper's is 0.9; left out it is 0), `momentum2` β₂, `delta` δ.
    History: m of every parameter, then v of every parameter.
    Source: Kingma and Ba 2015, arXiv:1412.6980;
    https://caffe.berkeleyvision.org/tutorial/solver.html#adam
    """

    histories = 2
    fields = ("momentum", "momentum2", "delta")
    usual_momentum = 0.9
    replayable = True

    def prepare(self) -> None:
        number = self.number
        self._betas = self.param.momentum, self.param.momentum2
        self._beta1, self._beta2 = map(number, self._betas)
        self._share1, self._share2 = (number(1 - beta) for beta in self._betas)
        self._delta = number(self.param.delta)
        self._correction = number(1.0)

    def begin(self, iteration: int) -> None:
        t, (beta1, beta2) = iteration + 1, self._betas
        self._correction[()] = math.sqrt(1 - beta2**t) / (1 - beta1**t)

    def update(
        self,
        weights: Vector,
        gradient: Vector,
        history: Sequence[Vector],
        rate: Scalar | Vector,
        scratch: Vector,
    ) -> None:
        xp, (mean, square) = self.xp, history
        xp.multiply(mean, self._beta1, out=mean)
        xp.multiply(gradient, self._share1, out=scratch)
        xp.add(mean, scratch, out=mean)
        xp.multiply(square, self._beta2, out=square)
        xp.multiply(gradient, gradient, out=scratch)
        xp.multiply(scratch, self._share2, out=scratch)
        xp.add(square, scratch, out=square)
        xp.sqrt(square, out=scratch)
        xp.add(scratch, self._delta, out=scratch)
        xp.divide(mean, scratch, out=scratch)
        xp.multiply(scratch, self._correction, out=scratch)
        xp.multiply(scratch, rate, out=scratch)
        xp.subtract(weights, scratch, out=weights)
