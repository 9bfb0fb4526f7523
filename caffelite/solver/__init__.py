"""Solvers: the checked job that a solver file asks for, the training loop, learning-rate policies,
and one file for each update rule. `caffelite.solver.rules` tells how to write a rule."""

from __future__ import annotations

import os

from caffelite.schema.solver import SolverParameter
from caffelite.solver.base import SOLVERS, Solver, register_solver, solver_class
from caffelite.solver.job import Job, load_job, plan_job
from caffelite.solver.monitor import LineMonitor, Monitor
from caffelite.solver.named import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    AdamWSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)
from caffelite.solver.rules import Rule, register_rule

__all__ = ["SOLVERS", "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "AdamWSolver", "Job"]
__all__ += ["LineMonitor", "Monitor", "NesterovSolver", "RMSPropSolver", "Rule", "SGDSolver"]
__all__ += ["Solver", "get_solver", "load_job", "plan_job", "register_rule", "register_solver"]


def get_solver(
    source: str | os.PathLike[str] | SolverParameter | Job, monitor: Monitor | None = None
) -> Solver:
    """The solver that a file asks for, of the class that its `type` names."""
    job = source if isinstance(source, Job) else load_job(source)
    return solver_class(job.param)(job, monitor)
