"""Nesterov: the accelerated gradient."""

from __future__ import annotations

import numpy as np

from caffelite.solver.base import Rate, Solver, register_solver


@register_solver("Nesterov")
class NesterovSolver(Solver):
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
        self._momentum = self.constant(self.param.momentum)
        self._over = self.constant(1 + self.param.momentum)

    def update(self, rate: Rate) -> None:
        (velocity,) = self.history
        np.multiply(velocity, self._momentum, velocity)
        np.add(self.weights, velocity, self.weights)
        np.multiply(self.gradient, rate, self.gradient)
        np.add(velocity, self.gradient, velocity)
        np.multiply(velocity, self._over, self.scratch)
        np.subtract(self.weights, self.scratch, self.weights)
