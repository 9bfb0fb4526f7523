"""AdaDelta: steps as large as the recent steps, whatever the unit of the gradient."""

from __future__ import annotations

import numpy as np

from caffelite.solver.base import Rate, Solver, register_solver


@register_solver("AdaDelta")
class AdaDeltaSolver(Solver):
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
        self._decay_rate = self.constant(self.param.momentum)
        self._share = self.constant(1 - self.param.momentum)
        self._delta = self.constant(self.param.delta)
        self._rms_gradient = np.empty_like(self.weights)

    def update(self, rate: Rate) -> None:
        gradients, steps = self.history
        self._average(gradients, self.gradient)
        np.add(gradients, self._delta, self._rms_gradient)
        np.sqrt(self._rms_gradient, self._rms_gradient)
        np.add(steps, self._delta, self.scratch)
        np.sqrt(self.scratch, self.scratch)
        step = np.multiply(self.gradient, self.scratch, self.gradient)
        np.divide(step, self._rms_gradient, step)
        self._average(steps, step)
        np.multiply(step, rate, self.scratch)
        np.subtract(self.weights, self.scratch, self.weights)

    def _average(self, mean: np.ndarray, values: np.ndarray) -> None:
        """mean ← ρ·mean + (1 − ρ)·values²"""
        np.multiply(mean, self._decay_rate, mean)
        np.multiply(values, values, self.scratch)
        np.multiply(self.scratch, self._share, self.scratch)
        np.add(mean, self.scratch, mean)
