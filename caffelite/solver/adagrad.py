"""AdaGrad: a rate of its own for each value, that falls with the gradients it has seen."""

from __future__ import annotations

import numpy as np

from caffelite.solver.base import Rate, Solver, register_solver


@register_solver("AdaGrad")
class AdaGradSolver(Solver):
    """H ← H + g²;  W ← W − η·g / (√H + δ), element by element.

    Paper: W ← W − η·g / √(Σ g²) with the sum over all iterations, the diagonal form; δ, outside
    of the root as in Caffe, keeps values that had no gradient yet from 0/0.

    Fields: `delta` δ. `momentum` is refused, as in Caffe. History: H.
    Source: Duchi, Hazan, Singer 2011, "Adaptive subgradient methods for online learning and
    stochastic optimization"; https://caffe.berkeleyvision.org/tutorial/solver.html#adagrad
    """

    histories = 1
    fields = ("delta",)

    def prepare(self) -> None:
        self._delta = self.constant(self.param.delta)

    def update(self, rate: Rate) -> None:
        (squares,) = self.history
        np.multiply(self.gradient, self.gradient, self.scratch)
        np.add(squares, self.scratch, squares)
        np.sqrt(squares, self.scratch)
        np.add(self.scratch, self._delta, self.scratch)
        np.divide(self.gradient, self.scratch, self.scratch)
        np.multiply(self.scratch, rate, self.scratch)
        np.subtract(self.weights, self.scratch, self.weights)
