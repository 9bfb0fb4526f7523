'''Update rules, one a file: what an update does to the parameters, apart from nets and loops.

A rule of your own is one class in a plug-in, such as the momentum of signs (Lion without its
second momentum):

    import caffelite
    from caffelite.solver.rules import Rule, register_rule

    @register_rule("SignMomentum")
    class SignMomentum(Rule):
        """V ← μ·V + g;  W ← W − η·sign(V). Field: `momentum` μ. History: V."""

        histories = 1
        fields = ("momentum",)

        def prepare(self):
            self.mu = self.number(self.param.momentum)

        def update(self, weights, gradient, history, rate, scratch):
            (velocity,) = history
            self.xp.multiply(velocity, self.mu, out=velocity)
            self.xp.add(velocity, gradient, out=velocity)
            self.xp.sign(velocity, out=scratch)
            self.xp.multiply(scratch, rate, out=scratch)
            self.xp.subtract(weights, scratch, out=weights)

Then `type: "SignMomentum"` works in solver files: `caffelite train --plugin my_rules.py --solver
…`. Weight decay, clipping, lr_mult, iter_size, snapshots and resuming come with it.
'''

from __future__ import annotations

import importlib
import pkgutil

from caffelite.run.session import Vectors
from caffelite.schema.solver import SolverParameter
from caffelite.solver.rules.base import (
    RULES,
    Rule,
    Scalar,
    Vector,
    baked_in,
    find_rule,
    register_rule,
)

__all__ = [
    "RULES",
    "Rule",
    "Scalar",
    "Vector",
    "baked_in",
    "find_rule",
    "make_rule",
    "register_rule",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def make_rule(cls: type[Rule], vectors: Vectors, param: SolverParameter) -> Rule:
    """The rule `cls` with the numbers of `param`, on such vectors."""
    return cls(param, vectors.number, vectors.xp)
