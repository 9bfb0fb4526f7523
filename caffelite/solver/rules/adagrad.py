"""AdaGrad: a rate of its own for each value, that falls with the gradients it has seen."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.solver.rules.base import Rule, Scalar, Vector, register_rule


@register_rule("AdaGrad")
class AdaGrad(Rule):
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
        xp.multiply(gradient, gradient, out=scratch)
        xp.add(squares, scratch, out=squares)
        xp.sqrt(squares, out=scratch)
        xp.add(scratch, self._delta, out=scratch)
        xp.divide(gradient, scratch, out=scratch)
        xp.multiply(scratch, rate, out=scratch)
        xp.subtract(weights, scratch, out=weights)
