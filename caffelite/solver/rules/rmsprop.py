"""RMSProp: gradients divided by their recent size."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.solver.rules.base import Rule, Scalar, Vector, register_rule


@register_rule("RMSProp")
class RMSProp(Rule):
    """H ← ρ·H + (1 − ρ)·g²;  W ← W − η·g / (√H + δ), element by element.

    The lecture has ρ = 0.9 and no δ; Caffe's default for ρ is 0.99.

    Fields: `rms_decay` ρ, `delta` δ. `momentum` is refused, as in Caffe. History: H.
    Source: Tieleman and Hinton 2012, "Neural Networks for Machine Learning", lecture 6, "divide
    the gradient by a running average of its recent magnitude";
    https://caffe.berkeleyvision.org/tutorial/solver.html#rmsprop
    """

    histories = 1
    fields = ("rms_decay", "delta")

    def prepare(self) -> None:
        self._decay = self.number(self.param.rms_decay)
        self._share = self.number(1 - self.param.rms_decay)
        self._delta = self.number(self.param.delta)

    def update(
        self,
        weights: Vector,
        gradient: Vector,
        history: Sequence[Vector],
        rate: Scalar | Vector,
        scratch: Vector,
    ) -> None:
        xp, (squares,) = self.xp, history
        xp.multiply(squares, self._decay, out=squares)
        xp.multiply(gradient, gradient, out=scratch)
        xp.multiply(scratch, self._share, out=scratch)
        xp.add(squares, scratch, out=squares)
        xp.sqrt(squares, out=scratch)
        xp.add(scratch, self._delta, out=scratch)
        xp.divide(gradient, scratch, out=scratch)
        xp.multiply(scratch, rate, out=scratch)
        xp.subtract(weights, scratch, out=weights)
