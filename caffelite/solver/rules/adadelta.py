"""AdaDelta: steps as large as the recent steps, whatever the unit of the gradient."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.solver.rules.base import Rule, Scalar, Vector, register_rule


@register_rule("AdaDelta")
class AdaDelta(Rule):
    """Element by element, with RMS[x] = √(E[x²] + δ):

        E[g²] ← ρ·E[g²] + (1 − ρ)·g²
        Δ = g · RMS[Δ] / RMS[g]
        E[Δ²] ← ρ·E[Δ²] + (1 − ρ)·Δ²
        W ← W − η·Δ

    The paper has no η: `base_lr: 1` is the paper's rule. E[Δ²] is of Δ before η, as in Caffe.

    Fields: `momentum` ρ (the paper's is 0.95; left out it is 0, and only the last gradient
    counts), `delta` δ (the paper's is 1e-6). History: E[g²] of every parameter, then E[Δ²] of
    every parameter.
    Source: Zeiler 2012, arXiv:1212.5701;
    https://caffe.berkeleyvision.org/tutorial/solver.html#adadelta
    """

    histories = 2
    fields = ("momentum", "delta")
    usual_momentum = 0.95

    def prepare(self) -> None:
        self._decay = self.number(self.param.momentum)
        self._share = self.number(1 - self.param.momentum)
        self._delta = self.number(self.param.delta)

    def update(
        self,
        weights: Vector,
        gradient: Vector,
        history: Sequence[Vector],
        rate: Scalar | Vector,
        scratch: Vector,
    ) -> None:
        xp, (gradients, steps), step = self.xp, history, gradient
        self._average(gradients, gradient, scratch)
        self._rms(steps, scratch)
        xp.multiply(gradient, scratch, out=step)
        self._rms(gradients, scratch)
        xp.divide(step, scratch, out=step)
        self._average(steps, step, scratch)
        xp.multiply(step, rate, out=scratch)
        xp.subtract(weights, scratch, out=weights)

    def _average(self, mean: Vector, values: Vector, scratch: Vector) -> None:
        """mean ← ρ·mean + (1 − ρ)·values²"""
        xp = self.xp
        xp.multiply(mean, self._decay, out=mean)
        xp.multiply(values, values, out=scratch)
        xp.multiply(scratch, self._share, out=scratch)
        xp.add(mean, scratch, out=mean)

    def _rms(self, mean: Vector, out: Vector) -> None:
        """√(mean + δ)"""
        self.xp.add(mean, self._delta, out=out)
        self.xp.sqrt(out, out=out)
