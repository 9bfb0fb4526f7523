"""The solvers by the names that pycaffe's users know. Each trains with its own rule, whatever the
solver file's `type` says; `get_solver` goes by the file."""

from __future__ import annotations

from caffelite.solver.base import Solver, register_solver
from caffelite.solver.rules.adadelta import AdaDelta
from caffelite.solver.rules.adagrad import AdaGrad
from caffelite.solver.rules.adam import Adam
from caffelite.solver.rules.adamw import AdamW
from caffelite.solver.rules.nesterov import Nesterov
from caffelite.solver.rules.rmsprop import RMSProp
from caffelite.solver.rules.sgd import SGD


@register_solver("SGD")
class SGDSolver(Solver):
    """Trains with SGD."""

    rule = SGD


@register_solver("Nesterov")
class NesterovSolver(Solver):
    """Trains with Nesterov's accelerated gradient."""

    rule = Nesterov


@register_solver("AdaGrad")
class AdaGradSolver(Solver):
    """Trains with AdaGrad."""

    rule = AdaGrad


@register_solver("RMSProp")
class RMSPropSolver(Solver):
    """Trains with RMSProp."""

    rule = RMSProp


@register_solver("AdaDelta")
class AdaDeltaSolver(Solver):
    """Trains with AdaDelta."""

    rule = AdaDelta


@register_solver("Adam")
class AdamSolver(Solver):
    """Trains with Adam."""

    rule = Adam


@register_solver("AdamW")
class AdamWSolver(Solver):
    """Trains with AdamW."""

    rule = AdamW
