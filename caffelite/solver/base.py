"""Solver: the training loop."""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, SupportsFloat, TypeVar

import numpy as np

from caffelite import mode, snapshot
from caffelite.blob import Array
from caffelite.errors import SnapshotError, SolverError
from caffelite.net import Net
from caffelite.schema.solver import SolverParameter
from caffelite.solver import debug, lengths, resume
from caffelite.solver.diagnosis import Evidence, diagnose, diagnose_gradient
from caffelite.solver.job import Job, load_job
from caffelite.solver.monitor import LineMonitor, Monitor, Output
from caffelite.solver.plateau import Plateau
from caffelite.solver.policies import learning_rate
from caffelite.solver.precision import Scoring
from caffelite.solver.rules import RULES, Rule, find_rule
from caffelite.solver.signs import Signs
from caffelite.solver.stopping import Watch
from caffelite.solver.testing import mean_outputs, outputs_of
from caffelite.solver.timetable import Timetable
from caffelite.solver.update import make_update
from caffelite.streams import Streams

S = TypeVar("S", bound="type[Solver]")
SOLVERS: dict[str, type[Solver]] = {}
"""The classes of solvers by the `type` in solver files. A rule that has none here is used by
`Solver` itself."""


def register_solver(name: str) -> Callable[[S], S]:
    """Make a class of solvers known to solver files under `name`. For a rule of your own there is
    `register_rule`; this is for another loop around a rule."""

    def add(cls: S) -> S:
        SOLVERS[name] = cls
        if cls.rule is not None:
            RULES.setdefault(name, cls.rule)
        return cls

    return add


def solver_class(param: SolverParameter) -> type[Solver]:
    """The class for the solver's `type`; an unknown one is refused with a suggestion."""
    if param.type in SOLVERS:
        return SOLVERS[param.type]
    find_rule(param)
    return Solver


class _Left(Exception):
    """A test was left before its end."""


class Solver:
    """Trains the net that a solver file names.

    An iteration, as in Caffe: gradients of `iter_size` batches are summed; if their norm is over
    `clip_gradients` they are scaled down to it; they are divided by `iter_size`; the gradient of
    the penalty is added, λ·decay_mult·W for L2 or λ·decay_mult·sign(W) for L1; the update rule
    changes the parameters with the rate lr·lr_mult.

    `source` is a solver file, a SolverParameter (then `path` says which file's folder relative
    paths start from) or a checked Job. Errors: SolverError, NetError.
    """

    rule: ClassVar[type[Rule] | None] = None
    """The update rule; None: the one that the solver's `type` names."""

    def __init__(
        self,
        source: str | os.PathLike[str] | SolverParameter | Job,
        monitor: Monitor | None = None,
        dtype: Any = np.float32,
        path: str = "",
    ) -> None:
        job = source if isinstance(source, Job) else load_job(source, path, self.rule, dtype)
        if self.rule not in (None, job.rule):
            raise TypeError(f"{type(self).__name__} was given a job for {job.rule.name}")
        self.param, self.path = job.param, job.path
        self.type = job.rule.name
        """The name of the update rule."""
        self.monitor = monitor or LineMonitor()
        for note in (*job.idle, *job.notes):
            self.monitor.on_note(note)
        param = self.param
        self.streams = Streams(param.random_seed if param.random_seed >= 0 else None)
        device = mode.request.device or job.device  # the command line's word counts more
        self.net: Net = job.train.net(self.streams, dtype, None, device)
        self.test_nets: list[Net] = [
            test.net(self.streams, dtype, self.net, device) for test in job.tests
        ]
        self.test_iter: list[int] = list(job.test_iter)
        """Batches a test, for each test net."""
        self.watch = Watch(param, job.watched) if job.watched else None
        """Early stopping and the best test so far, if the solver file asks for them."""
        self.iter = 0
        self.stop_requested = False
        """Set it (from a signal handler, say) and `step` returns after the current iteration."""
        self.snapshot_requested = False
        """Set it and `step` takes a snapshot after the current iteration."""
        self._saved = -1
        """The iteration of the last snapshot."""
        self._updating = self._on_schedule = False
        self.plateau = Plateau(param) if param.lr_policy == "plateau" else None
        """What the policy plateau has observed."""
        self._rate_at = learning_rate(param, self.plateau) if self.plateau else job.rate
        self._callbacks: list[tuple[Callable[[], Any], Callable[[], Any]]] = []
        self._unread: SupportsFloat = 0.0
        """The last iteration's loss, whether or not somebody has read it."""
        self._losses: deque[SupportsFloat] = deque(maxlen=max(1, param.average_loss))
        self._more_batches = range(param.iter_size - 1)
        self._update = make_update(job.rule, self.net, param)
        self._signs = Signs(self.net, param)
        self._debug = param.debug_info or self.net.param.debug_info
        if self._debug:
            self.net.executor.looked_into = "debug_info shows all blobs and gradients"
        if self._debug and not param.display:
            self.monitor.on_note("debug_info prints with the displayed losses, and display is 0")
        for weights in job.weights:
            self.net.copy_from(weights)

    @property
    def rate(self) -> float:
        """The learning rate of the next iteration."""
        return self._rate_at(self.iter)

    @property
    def history(self) -> list[Array]:
        """What the update rule keeps: vectors over the whole `net.arena`, as host arrays. Where the
        net runs on a device they are copies; `take_history` sets them."""
        return self._update.host_history()

    def take_history(self, vectors: Sequence[Array]) -> None:
        """Let the update rule go on with these vectors."""
        self._update.take_history(vectors)

    def apply_update(self) -> None:
        """Clip, normalise, regularise, update. Raises SolverError, and the parameters stay as they
        are, if the gradient is not finite."""
        if not self._update.apply(self.rate, self.iter):
            self._updating = False
            raise SolverError(diagnose_gradient(self.net, self._evidence()))

    def add_callback(self, on_start: Callable[[], Any], on_gradient: Callable[[], Any]) -> None:
        """Call `on_start` before each iteration, `on_gradient` before each update."""
        self._callbacks.append((on_start, on_gradient))

    # The loop.

    def step(self, count: int) -> None:
        """Run `count` iterations, or fewer if `stop_requested` is set."""
        stop = self.iter + count
        timetable = Timetable(self.param, self.monitor.interval)
        self._losses.clear()
        while self.iter < stop and not self.stop_requested:
            if timetable.tests(self.iter):
                if not self._test_on_schedule():
                    break
                if self.watch is not None and self.watch.exhausted:
                    self.monitor.on_note(self.watch.verdict())
                    break
            self._iterate(timetable)
            if self.snapshot_requested or timetable.saves(self.iter):
                self._read(self._unread)
                self.snapshot_requested = False
                self._snapshot_underway()
        self._read(self._unread)

    def _iterate(self, timetable: Timetable) -> None:
        """One iteration: gradients, what is to be shown of them, the update."""
        self.net.clear_param_diffs()
        for start, _ in self._callbacks:
            start()
        found = self._gradients()
        loss = self._unread = self._read(found) if self._looks(timetable) else found
        if self.plateau is not None and self.plateau.observe(self.iter, float(loss)):
            self._note([self.plateau.said(self.rate)])
        self._tell(loss, timetable)
        shown = self._debug and timetable.displays(self.iter)
        if shown:
            self._note(debug.lines(self.net))
        for _, gradient_ready in self._callbacks:
            gradient_ready()
        self._updating = True
        before = self.net.arena.data.copy() if shown else None
        self.apply_update()
        if before is not None:
            self._note(debug.update_lines(self.net, before))
        self.iter += 1
        self._updating = False

    def _note(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.monitor.on_note(line)

    def _evidence(self) -> Evidence:
        return Evidence(self.iter, self.rate, self.param, self._update.norms())

    def _gradients(self) -> Any:
        """Sum the gradients of `iter_size` batches; the mean of their losses. An engine's loss may
        still be on its way: it becomes a number when it is read."""
        net = self.net
        loss = self._forward()
        net.backward_all()
        if not self._more_batches:
            return loss
        for _ in self._more_batches:
            loss += self._forward()
            net.backward_all()
        return loss / self.param.iter_size

    def _forward(self) -> Any:
        executor = self.net.executor
        if not executor.session.lazy_loss:
            return self.net.forward_loss()
        executor.forward()
        return executor.session.pending_loss()

    def _looks(self, timetable: Timetable) -> bool:
        """Is this iteration's loss read at once? Where that means to wait for a device only if
        something depends on it; one that is not finite is then found when the next one is read, or
        before a snapshot, or at the end."""
        if not self.net.executor.session.lazy_loss or self.plateau is not None:
            return True
        return timetable.displays(self.iter) or timetable.listens(self.iter)

    def _read(self, loss: SupportsFloat) -> float:
        """The loss of this iteration as a number. Raises SolverError if it is not finite."""
        value = float(loss)
        if not math.isfinite(value):
            raise SolverError(diagnose(self.net, value, self._evidence()))
        return value

    def _tell(self, loss: SupportsFloat, timetable: Timetable) -> None:
        """Tell the monitor of this iteration's loss if it is time, averaged over the last ones."""
        at, monitor = self.iter, self.monitor
        self._losses.append(loss)
        if timetable.displays(at):
            monitor.on_display(at, self._mean_loss(), self.rate, outputs_of(self.net))
            self._note(self._signs.look(at, self.rate))
        if timetable.listens(at):
            monitor.on_iteration(at, self._mean_loss(), self.rate)

    def _mean_loss(self) -> float:
        return sum(map(float, self._losses)) / len(self._losses)

    def solve(self, resume: str | None = None) -> None:
        """Train up to `max_iter`, with the tests and snapshots that the solver file asks for.

        An error that ends the run takes a snapshot first, if the parameters are whole and the disk
        allows. The batch in which it came is then passed over by a run that goes on."""
        if resume:
            self.restore(resume)
        param = self.param
        if not param.has("max_iter"):
            raise SolverError(lengths.no_end(param))
        first = self.iter
        try:
            self.step(max(0, param.max_iter - self.iter))
        except Exception:
            if self.iter > first and (param.snapshot or param.snapshot_after_train):
                self._rescue()
            raise
        if self.stop_requested:
            return
        timetable = Timetable(param)
        if param.snapshot_after_train and not (
            timetable.saves(self.iter) and self._saved == self.iter
        ):
            self.snapshot()
        if timetable.displays(self.iter):
            self._losses.append(float(self.net.forward_loss()))
            outputs = outputs_of(self.net)
            self.monitor.on_display(self.iter, self._mean_loss(), self.rate, outputs)
        if self.watch is not None and self.watch.exhausted:
            return
        if param.test_interval and self.iter % param.test_interval == 0:
            self._test_on_schedule()

    # Tests.

    def test_all(self) -> list[dict[str, Array]]:
        """Run all test nets; for each the mean of every output over its batches."""
        return [self.test(i) for i in range(len(self.test_nets))]

    def test(self, index: int = 0) -> dict[str, Array]:
        """Run one test net over its batches; the mean of every output."""
        each = partial(self._test_goes_on, index)
        scoring = Scoring(self.param.ap_version, self.param.show_per_class_result)
        net, count = self.test_nets[index], self.test_iter[index]
        outputs, loss = mean_outputs(net, count, each, scoring=scoring)
        shown = loss if self.param.test_compute_loss else None
        self.monitor.on_test(self.iter, index, shown, outputs)
        return {output.name: output.values for output in outputs}

    def _test_on_schedule(self) -> bool:
        """Test, and watch the results. False if `stop_requested` was set underway: then the test
        was left, and all is as if it had not begun."""
        before = resume.run_state(self)
        self._on_schedule = True
        try:
            results = self.test_all()
        except _Left:
            resume.put_back(self, before)
            return False
        finally:
            self._on_schedule = False
        watch = self.watch
        if watch is None:
            return True
        value = float(results[watch.net][watch.output].item())
        if watch.observe(self.iter, value) and self.param.keep_best:
            self._keep_best(f"the best {watch.output} so far, {value:g}")
        return True

    def _keep_best(self, what: str) -> None:
        path = snapshot.best_path(self.param, self.path)
        try:
            self.net.save(path)
        except SnapshotError as error:
            self.monitor.on_note(f"{what}, is not kept: {error}; the run goes on")
        else:
            self.monitor.on_note(f"{what}, is kept in {path}")

    def _test_goes_on(self, index: int, batch: int, outputs: list[Output]) -> None:
        self.monitor.on_test_batch(index, batch + 1, self.test_iter[index])
        if self._on_schedule and self.stop_requested:
            raise _Left

    # Snapshots.

    def saved(self) -> str:
        """The .solverstate of this iteration, if a snapshot was just taken; else ""."""
        return (
            snapshot.paths(self.param, self.path, self.iter)[1] if self._saved == self.iter else ""
        )

    def snapshot(self) -> str:
        """Write the parameters and the state of the run; the path of the .solverstate."""
        model, path = resume.write(self)
        self._saved = self.iter
        self.monitor.on_snapshot(model, path)
        return path

    def _snapshot_underway(self) -> None:
        """A snapshot that cannot be written does not end the run: the next one may be."""
        try:
            self.snapshot()
        except SnapshotError as error:
            self.monitor.on_note(f"no snapshot at iteration {self.iter}: {error}; the run goes on")

    def _rescue(self) -> None:
        """Before an error ends the run: keep what was learned since the last snapshot."""
        whole = not self._updating and bool(np.isfinite(self.net.arena.data).all())
        if not whole or self._saved == self.iter:
            return
        with contextlib.suppress(SnapshotError, MemoryError):
            self.monitor.on_note(f"an error at iteration {self.iter}; what was learned is kept:")
            self.snapshot()

    def restore(self, path: str, verify: bool = True) -> None:
        """Go on from a .solverstate. Raises SnapshotError if it is not one of this net's, is
        damaged, or does not belong to the parameters beside it (`verify=False` goes on all the
        same); the solver is then as it was."""
        resume.read(self, path, verify)
        self._saved = self.iter
