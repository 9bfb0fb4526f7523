"""caffe.SGDSolver and its kin: solvers with pycaffe's names and ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from caffelite import solver as core
from caffelite.pycaffe import glog
from caffelite.pycaffe.messages import solver_source
from caffelite.pycaffe.monitor import GlogMonitor
from caffelite.pycaffe.net import Net
from caffelite.pycaffe.vectors import NetVec
from caffelite.schema.message import Message
from caffelite.schema.solver import SolverParameter
from caffelite.solver.base import Solver as CoreSolver
from caffelite.solver.fields import check_numbers
from caffelite.solver.plateau import Plateau
from caffelite.solver.policies import learning_rate
from caffelite.solver.rules import Rule
from caffelite.solver.update import make_update


class LiveSolver(CoreSolver):
    """A solver whose `param` may be changed while it runs."""

    def __init__(self, job: core.Job, monitor: core.Monitor) -> None:
        super().__init__(job, monitor)
        self._known = _fields(self.param)

    @property
    def rate(self) -> float:
        """The learning rate of the next iteration, by the fields as they are now."""
        self._follow()
        return super().rate

    def apply_update(self) -> None:
        self._follow()
        self._update.apply(self._rate_at(self.iter), self.iter)

    def _follow(self) -> None:
        """Take up what has been changed in `param`. Raises SolverError if that cannot be."""
        now = _fields(self.param)
        if now == self._known:
            return
        check_numbers(self.param)
        before = self.plateau
        self.plateau = Plateau(self.param) if self.param.lr_policy == "plateau" else None
        if self.plateau is not None and before is not None:
            self.plateau.go_on(before)
        self._rate_at = learning_rate(self.param, self.plateau)
        history = self.history
        self._update = make_update(self._rule, self.net, self.param)
        self.take_history(history)
        self._more_batches = range(self.param.iter_size - 1)
        self._known = now

    @property
    def _rule(self) -> type[Rule]:
        return type(self._update.rule)


def _fields(param: SolverParameter) -> list[Any]:
    """What is set, for comparison: looked at in every iteration, so it must cost little."""
    return [
        (name, tuple(value) if type(value) is list else value)
        for name, value in param.stored().items()
        if not isinstance(value, Message)
    ]


class Solver:
    """Trains the net that a solver file, or a SolverParameter, names. `core` is the solver by
    caffelite's own names. Errors: SolverError, NetError."""

    rule: ClassVar[type[Rule] | None] = None

    def __init__(self, solver_file: Any) -> None:
        job = core.load_job(solver_source(solver_file), "", self.rule)
        monitor = GlogMonitor(job.param.display)
        self.core = LiveSolver(job, monitor)
        self.net = Net.of(self.core.net)
        self.net._trained = True
        self.test_nets = NetVec(map(Net.of, self.core.test_nets))

    @property
    def param(self) -> SolverParameter:
        """The solver file's fields; what is set in them counts from the next iteration on."""
        return self.core.param

    @property
    def iter(self) -> int:
        """How many iterations are done."""
        return self.core.iter

    @iter.setter
    def iter(self, value: int) -> None:
        self.core.iter = int(value)

    @property
    def lr(self) -> float:
        """The learning rate of the next iteration."""
        return self.core.rate

    def step(self, iters: int) -> None:
        """Run this many iterations."""
        self.core.step(iters)

    def solve(self, resume_file: str | None = None) -> None:
        """Train up to `max_iter`, with the tests and snapshots that are asked for."""
        glog.write(f"Solving {self.net.core.name}")
        glog.write(f"Learning Rate Policy: {self.param.lr_policy}")
        self.core.solve(resume_file)
        glog.write("Optimization Done.")

    def apply_update(self) -> None:
        """Change the parameters by the gradients that are there; one iteration more is done."""
        self.core.apply_update()
        self.core.iter += 1

    def add_callback(
        self, on_start: Callable[[], Any], on_gradients_ready: Callable[[], Any]
    ) -> None:
        """Call the first before each iteration, the second before each update."""
        self.core.add_callback(on_start, on_gradients_ready)

    def share_weights(self, net: Net) -> None:
        """Let `net` use the parameters that this solver trains."""
        net.share_with(self.net)

    def snapshot(self) -> None:
        """Write the parameters and the state of the run."""
        self.core.snapshot()

    def restore(self, path: str) -> None:
        """Go on from a .solverstate."""
        self.core.restore(path)


class SGDSolver(Solver):
    """Trains with SGD."""

    rule: ClassVar[type[Rule] | None] = core.SGDSolver.rule


class NesterovSolver(SGDSolver):
    """Trains with Nesterov's accelerated gradient."""

    rule: ClassVar[type[Rule] | None] = core.NesterovSolver.rule


class AdaGradSolver(SGDSolver):
    """Trains with AdaGrad."""

    rule: ClassVar[type[Rule] | None] = core.AdaGradSolver.rule


class RMSPropSolver(SGDSolver):
    """Trains with RMSProp."""

    rule: ClassVar[type[Rule] | None] = core.RMSPropSolver.rule


class AdaDeltaSolver(SGDSolver):
    """Trains with AdaDelta."""

    rule: ClassVar[type[Rule] | None] = core.AdaDeltaSolver.rule


class AdamSolver(SGDSolver):
    """Trains with Adam."""

    rule: ClassVar[type[Rule] | None] = core.AdamSolver.rule


_NAMED: list[type[Solver]] = [SGDSolver, NesterovSolver, AdaGradSolver, RMSPropSolver]
_NAMED += [AdaDeltaSolver, AdamSolver]


def get_solver(solver_file: Any) -> Solver:
    """The solver that a file asks for by its `type`."""
    source = solver_source(solver_file)
    job = core.load_job(source)
    cls = next((cls for cls in _NAMED if cls.rule is job.rule), Solver)
    return cls(source)
