"""SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

import numpy as np

from caffelite.solver.base import Rate, Solver, register_solver


@register_solver("SGD")
class SGDSolver(Solver):
    """V ← μ·V + η·g;  W ← W − V, with the momentum μ, the learning rate η and the gradient g.

    Many texts write V ← μ·V − η·g; W ← W + V, or put η outside of V. The first is the same; with
    the second a change of η acts on past gradients too. This is Caffe's form.

    Fields: `momentum` μ. History: V.
    Source: Polyak 1964; https://caffe.berkeleyvision.org/tutorial/solver.html#sgd
    """

    histories = 1
    fields = ("momentum",)

    def prepare(self) -> None:
        self._momentum = self.constant(self.param.momentum)

    def update(self, rate: Rate) -> None:
        (velocity,) = self.history
        np.multiply(velocity, self._momentum, velocity)
        np.multiply(self.gradient, rate, self.scratch)
        np.add(velocity, self.scratch, velocity)
        np.subtract(self.weights, velocity, self.weights)
