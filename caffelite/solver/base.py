"""Solver: the training loop. What one update does to the parameters is each subclass's own."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np

from caffelite import snapshot
from caffelite.blob import Array
from caffelite.errors import Problem, SnapshotError, SolverError, did_you_mean
from caffelite.files import load_solver
from caffelite.net import Net
from caffelite.schema.solver import SolverMode, SolverParameter
from caffelite.solver import setup, stopping
from caffelite.solver.fields import check_rule, field_notes
from caffelite.solver.monitor import LineMonitor, Monitor
from caffelite.solver.policies import learning_rate
from caffelite.solver.stopping import Watch
from caffelite.solver.testing import mean_outputs, outputs_of
from caffelite.streams import Streams

Rate = Array
"""The learning rate: an array of one value, or one for each value of the arena where lr_mult
differs. (NumPy is twice as fast with a small array than with a Python number.)"""

S = TypeVar("S", bound="type[Solver]")
SOLVERS: dict[str, type[Solver]] = {}


def register_solver(name: str) -> Callable[[S], S]:
    """Make an update rule known to solver files under `name`."""

    def add(cls: S) -> S:
        cls.type = name
        SOLVERS[name] = cls
        return cls

    return add


class Solver:
    """Trains the net that a solver file names.

    An iteration, as in Caffe: gradients of `iter_size` batches are summed; if their norm is over
    `clip_gradients` they are scaled down to it; they are divided by `iter_size`; the gradient of
    the penalty is added, λ·decay_mult·W for L2 or λ·decay_mult·sign(W) for L1; `update` changes
    the parameters with the rate lr·lr_mult. Errors: SolverError, NetError.
    """

    type: ClassVar[str] = ""
    histories: ClassVar[int] = 0
    """How many vectors over the arena the rule keeps."""
    fields: ClassVar[tuple[str, ...] | None] = None
    """Which of momentum, momentum2, rms_decay and delta the rule reads; None: not known."""
    usual_momentum: ClassVar[float | None] = None
    """The paper's momentum, for a rule that is another one without."""
    decoupled_decay: ClassVar[bool] = False
    """Does the rule itself see to the penalty, rather than find it in the gradient?"""

    def __init__(
        self,
        source: str | os.PathLike[str] | SolverParameter,
        monitor: Monitor | None = None,
        dtype: Any = np.float32,
        path: str = "",
    ) -> None:
        if isinstance(source, SolverParameter):
            self.param, self.path = source, path
        else:
            self.param, self.path = load_solver(source), os.fspath(source)
        param = self.param
        self.monitor = monitor or LineMonitor()
        setup.check(param)
        check_rule(param, type(self).type, self.fields)
        learning_rate(param)  # to refuse early what cannot be
        for note in field_notes(param, type(self).type, self.fields, self.usual_momentum):
            self.monitor.on_note(note)
        self.streams = Streams(param.random_seed if param.random_seed >= 0 else None)
        folder = os.path.dirname(self.path)
        if param.has("solver_mode") and param.solver_mode == SolverMode.GPU:
            self.monitor.on_note("solver_mode: GPU is accepted; this runs on the CPU")
        if param.snapshot or param.snapshot_after_train or param.keep_best:
            snapshot.check_prefix(param)
        self.net: Net = setup.train_net(param, folder, self.streams, dtype)
        self.test_nets: list[Net] = setup.test_nets(param, folder, self.streams, dtype, self.net)
        self.test_iter: list[int] = setup.test_iterations(param, self.test_nets)
        if param.has("max_epoch"):
            self.param = setup.with_max_iter(param, self.net)
        for note in setup.from_data(param, self.param, self.net, self.test_nets, self.test_iter):
            self.monitor.on_note(note)
        param = self.param
        self._rate_at = learning_rate(param)
        self.watch = Watch(param, self.test_nets) if stopping.wanted(param) else None
        """Early stopping and the best test so far, if the solver file asks for them."""
        self.iter = 0
        self.stop_requested = False
        """Set it (from a signal handler, say) and `step` returns after the current iteration."""
        self.snapshot_requested = False
        """Set it and `step` takes a snapshot after the current iteration."""
        self._callbacks: list[tuple[Callable[[], Any], Callable[[], Any]]] = []
        self._losses: deque[float] = deque(maxlen=max(1, param.average_loss))
        self._prepare_update()
        for path in [p for entry in param.weights for p in entry.split(",")]:
            self.net.copy_from(path.strip())

    # One update.

    def _prepare_update(self) -> None:
        arena = self.net.arena
        self.weights, self.gradient = arena.data, arena.diff
        self.scratch = np.empty_like(arena.data)
        self.history = [np.zeros_like(arena.data) for _ in range(self.histories)]
        lr = [p.lr_mult for p in arena.params]
        decay = [p.decay_mult for p in arena.params]
        # one value where all parameters agree: half the memory traffic
        self._lr_mult = None if set(lr) <= {1.0} else arena.spread(lr)
        self._lr = self.constant(0.0) if self._lr_mult is None else np.empty_like(arena.data)
        decays = [self.param.weight_decay * d for d in decay]
        same = len(set(decays)) == 1
        self._decay = self.constant(decays[0]) if same else arena.spread(decays)
        self.decays = any(decays)
        self._l1 = self.param.regularization_type == "L1"
        self.prepare()

    @property
    def rate(self) -> float:
        """The learning rate of the next iteration."""
        return self._rate_at(self.iter)

    def prepare(self) -> None:
        """Make what the rule needs; the arrays stand."""

    def update(self, rate: Rate) -> None:
        """Change `weights` by `gradient` and `history`, arrays over the whole arena. `scratch` is
        free to use, and `gradient` may be overwritten."""
        raise TypeError(f"{type(self).__name__} has no update rule")

    def apply_update(self) -> None:
        """Clip, normalise, regularise, update."""
        param, gradient = self.param, self.gradient
        if param.clip_gradients >= 0:
            norm = math.sqrt(float(np.dot(gradient, gradient)))
            if norm > param.clip_gradients:
                np.multiply(gradient, param.clip_gradients / norm, gradient)
        if param.iter_size != 1:
            np.multiply(gradient, 1 / param.iter_size, gradient)
        if self.decays and not self.decoupled_decay:
            np.add(gradient, self.penalty(), gradient)
        if self._lr_mult is None:
            self._lr[()] = self.rate
        else:
            np.multiply(self._lr_mult, self.rate, self._lr)
        self.update(self._lr)

    def penalty(self) -> Array:
        """The penalty's gradient, λ·decay_mult·W or λ·decay_mult·sign(W), made in `scratch`."""
        weights = np.sign(self.weights, self.scratch) if self._l1 else self.weights
        np.multiply(weights, self._decay, self.scratch)
        return self.scratch

    def constant(self, value: float) -> Array:
        """A number as NumPy likes it best: an array of one value, of the parameters' type."""
        return np.array(value, self.net.dtype)

    # The loop.

    def step(self, count: int) -> None:
        """Run `count` iterations, or fewer if `stop_requested` is set."""
        param, monitor, net = self.param, self.monitor, self.net
        stop = self.iter + count
        batches = range(param.iter_size)
        display, test, snap = param.display, param.test_interval, param.snapshot
        averages, watch = param.average_loss > 1, monitor.interval
        self._losses.clear()
        while self.iter < stop and not self.stop_requested:
            at = self.iter
            net.clear_param_diffs()
            if test and at % test == 0 and (at > 0 or param.test_initialization):
                self._test_on_schedule()
                if self.watch is not None and self.watch.exhausted:
                    monitor.on_note(self.watch.verdict())
                    break
            for start, _ in self._callbacks:
                start()
            loss = 0.0
            for _ in batches:
                loss += net.forward_loss()
                net.backward_all()
            loss /= param.iter_size
            if not math.isfinite(loss):
                raise SolverError(diagnose(net, at, loss, self.rate))
            if averages:
                self._losses.append(loss)
                loss = sum(self._losses) / len(self._losses)
            if display and at % display == 0:
                monitor.on_display(at, loss, self.rate, outputs_of(net))
            if watch and at % watch == 0:
                monitor.on_iteration(at, loss, self.rate)
            for _, gradient_ready in self._callbacks:
                gradient_ready()
            self.apply_update()
            self.iter += 1
            if self.snapshot_requested or (snap and self.iter % snap == 0):
                self.snapshot_requested = False
                self.snapshot()

    def solve(self, resume: str | None = None) -> None:
        """Train up to `max_iter`, with the tests and snapshots that the solver file asks for."""
        if resume:
            self.restore(resume)
        param = self.param
        if not param.has("max_iter"):
            raise SolverError(Problem("the solver has no max_iter", param.span(), setup.MAX_ITER))
        self.step(max(0, param.max_iter - self.iter))
        if self.stop_requested:
            return
        if param.snapshot_after_train and not (param.snapshot and self.iter % param.snapshot == 0):
            self.snapshot()
        if param.display and self.iter % param.display == 0:
            self._losses.append(self.net.forward_loss())
            loss = sum(self._losses) / len(self._losses)
            self.monitor.on_display(self.iter, loss, self.rate, outputs_of(self.net))
        if self.watch is not None and self.watch.exhausted:
            return
        if param.test_interval and self.iter % param.test_interval == 0:
            self._test_on_schedule()

    def _test_on_schedule(self) -> None:
        results = self.test_all()
        watch = self.watch
        if watch is None:
            return
        value = float(results[watch.net][watch.output].item())
        if watch.observe(self.iter, value) and self.param.keep_best:
            path = snapshot.best_path(self.param, self.path)
            self.net.save(path)
            self.monitor.on_note(f"the best {watch.output} so far, {value:g}, is kept in {path}")

    def test_all(self) -> list[dict[str, Array]]:
        """Run all test nets; for each the mean of every output over its batches."""
        return [self.test(i) for i in range(len(self.test_nets))]

    def test(self, index: int = 0) -> dict[str, Array]:
        """Run one test net over its batches; the mean of every output."""
        outputs, loss = mean_outputs(self.test_nets[index], self.test_iter[index])
        shown = loss if self.param.test_compute_loss else None
        self.monitor.on_test(self.iter, index, shown, outputs)
        return {output.name: output.values for output in outputs}

    def add_callback(self, on_start: Callable[[], Any], on_gradient: Callable[[], Any]) -> None:
        """Call `on_start` before each iteration, `on_gradient` before each update."""
        self._callbacks.append((on_start, on_gradient))

    # Snapshots.

    def snapshot(self) -> str:
        """Write the parameters and the state of the run; the path of the .solverstate."""
        model, path = snapshot.paths(self.param, self.path, self.iter)
        self.net.save(model, self.param.snapshot_diff)
        snapshot.write_state(
            path,
            snapshot.RunState(
                self.iter,
                model,
                [part for vector in self.history for part in self.net.arena.split(vector)],
                current_step=self._current_step(),
                run={
                    "streams": self.streams.state(),
                    "layers": self._layer_states(),
                    "watch": self.watch.state() if self.watch is not None else {},
                },
            ),
        )
        self.monitor.on_snapshot(model, path)
        return path

    def restore(self, path: str) -> None:
        """Go on from a .solverstate. Raises SnapshotError if it is not one of this net's."""
        state = snapshot.read_state(path)
        shapes = [param.shape for param in self.net.arena.params] * self.histories
        sizes = [math.prod(shape) for shape in shapes]
        if [array.size for array in state.history] != sizes:
            raise SnapshotError(
                Problem(
                    f"{path}: its history does not fit this net and solver "
                    f"({len(state.history)} arrays of {sum(a.size for a in state.history)} values)",
                    expected=f"{len(sizes)} arrays of {sum(sizes)} values, for {self.type}",
                    hint="is it the snapshot of another net, or of another solver type?",
                )
            )
        self.net.copy_from(snapshot.model_path(state, path))
        parts = [part for vector in self.history for part in self.net.arena.split(vector)]
        for part, array in zip(parts, state.history):
            part[...] = array.reshape(part.shape)
        self.iter = state.iter
        if state.run:
            self.streams.restore(state.run["streams"])
            for net, states in zip([self.net, *self.test_nets], state.run["layers"]):
                for layer in net.layers:
                    layer.restore(states.get(layer.name, {}))
            if self.watch is not None:
                self.watch.restore(state.run.get("watch", {}))

    def _layer_states(self) -> list[dict[str, Any]]:
        """For each net the states of the layers that have one."""
        nets = [self.net, *self.test_nets]
        return [{n.name: s for n in net.layers if (s := n.state())} for net in nets]

    def _current_step(self) -> int:
        """Which step of a stepwise policy the run is in; Caffe's files hold it, ours need not."""
        if self.param.lr_policy == "step":
            return self.iter // self.param.stepsize
        return sum(1 for value in self.param.stepvalue if value <= self.iter)


def diagnose(net: Net, iteration: int, loss: float, rate: float) -> Problem:
    """Where the numbers went bad first."""
    hint = f"often the learning rate ({rate:g}) is too high, or the data holds such values"
    for node_name, layer in net.layer_dict.items():
        for i, blob in enumerate(layer.params):
            if not np.isfinite(blob.data).all():
                where = f'parameter {i} of layer "{node_name}" holds values that are not finite'
                return Problem(f"iteration {iteration}: the loss is {loss}; {where}", hint=hint)
        for top in net.top_names[node_name]:
            if not np.isfinite(net.blobs[top].data).all():
                where = f'the first bad blob is "{top}" of layer "{node_name}" ({layer.type})'
                return Problem(f"iteration {iteration}: the loss is {loss}; {where}", hint=hint)
    return Problem(f"iteration {iteration}: the loss is {loss}", hint=hint)


def check_type(param: SolverParameter) -> None:
    """Refuse an unknown `type`, and numbers that its rule cannot work with."""
    cls = solver_class(param)
    check_rule(param, cls.type, cls.fields)


def solver_class(param: SolverParameter) -> type[Solver]:
    """The class for the solver's `type`; an unknown one is refused with a suggestion."""
    if param.type in SOLVERS:
        return SOLVERS[param.type]
    raise SolverError(
        Problem(
            f'unknown solver type "{param.type}"',
            param.span("type"),
            "one of " + ", ".join(SOLVERS),
            did_you_mean(param.type, SOLVERS),
        )
    )
