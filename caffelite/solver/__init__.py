"""Solvers: the training loop, learning-rate policies, and one file for each update rule."""

from __future__ import annotations

import importlib
import os
import pkgutil

from caffelite.files import load_solver
from caffelite.schema.solver import SolverParameter
from caffelite.solver.base import SOLVERS, Solver, register_solver, solver_class
from caffelite.solver.monitor import LineMonitor, Monitor

__all__ = ["SOLVERS", "LineMonitor", "Monitor", "Solver", "get_solver", "register_solver"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def get_solver(
    source: str | os.PathLike[str] | SolverParameter, monitor: Monitor | None = None
) -> Solver:
    """The solver that a file asks for, of the class that its `type` names."""
    if isinstance(source, SolverParameter):
        return solver_class(source)(source, monitor)
    param = load_solver(source)
    return solver_class(param)(param, monitor, path=os.fspath(source))
