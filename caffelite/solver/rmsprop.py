"""RMSProp: gradients divided by their recent size."""

from __future__ import annotations

import numpy as np

from caffelite.solver.base import Rate, Solver, register_solver


@register_solver("RMSProp")
class RMSPropSolver(Solver):
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
        self._decay_rate = self.constant(self.param.rms_decay)
        self._share = self.constant(1 - self.param.rms_decay)
        self._delta = self.constant(self.param.delta)

    def update(self, rate: Rate) -> None:
        (squares,) = self.history
        np.multiply(squares, self._decay_rate, squares)
        np.multiply(self.gradient, self.gradient, self.scratch)
        np.multiply(self.scratch, self._share, self.scratch)
        np.add(squares, self.scratch, squares)
        np.sqrt(squares, self.scratch)
        np.add(self.scratch, self._delta, self.scratch)
        np.divide(self.gradient, self.scratch, self.scratch)
        np.multiply(self.scratch, rate, self.scratch)
        np.subtract(self.weights, self.scratch, self.weights)
