"""Adam: momentum, divided by the recent size of the gradients."""

from __future__ import annotations

import math

import numpy as np

from caffelite.solver.base import Rate, Solver, register_solver


@register_solver("Adam")
class AdamSolver(Solver):
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

    def prepare(self) -> None:
        param = self.param
        self._beta1, self._share1 = map(self.constant, (param.momentum, 1 - param.momentum))
        self._beta2, self._share2 = map(self.constant, (param.momentum2, 1 - param.momentum2))
        self._delta = self.constant(param.delta)
        self._correction = self.constant(1.0)

    def update(self, rate: Rate) -> None:
        mean, square = self.history
        np.multiply(mean, self._beta1, mean)
        np.multiply(self.gradient, self._share1, self.scratch)
        np.add(mean, self.scratch, mean)
        np.multiply(square, self._beta2, square)
        np.multiply(self.gradient, self.gradient, self.scratch)
        np.multiply(self.scratch, self._share2, self.scratch)
        np.add(square, self.scratch, square)

        t = self.iter + 1
        root = math.sqrt(1 - self.param.momentum2**t)
        self._correction[()] = root / (1 - self.param.momentum**t)
        np.sqrt(square, self.scratch)
        np.add(self.scratch, self._delta, self.scratch)
        np.divide(mean, self.scratch, self.scratch)
        np.multiply(self.scratch, self._correction, self.scratch)
        np.multiply(self.scratch, rate, self.scratch)
        np.subtract(self.weights, self.scratch, self.weights)
