"""Job: a solver that has been checked and could run. `caffelite check` stops there; `Solver`
makes the nets and runs them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite import snapshot
from caffelite.blob import Shape
from caffelite.errors import CaffeliteError, NetError, Problem, SchemaError, SolverError
from caffelite.files import load_solver
from caffelite.layers.base import Context
from caffelite.net import Net
from caffelite.paths import find_path
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import included, state_for
from caffelite.plan.outline import outline_net
from caffelite.protobufs import from_protobuf, is_protobuf
from caffelite.report.standin import stand_in
from caffelite.schema.common import Phase
from caffelite.schema.forks import solver_refusals, update_refusals
from caffelite.schema.legacy import upgrade_solver
from caffelite.schema.net import NetParameter, NetState
from caffelite.schema.solver import SolverMode, SolverParameter
from caffelite.solver import lengths, stopping
from caffelite.solver.fields import check_numbers, check_rule, idle_notes, momentum_note
from caffelite.solver.mistakes import Mistakes, joined
from caffelite.solver.policies import learning_rate
from caffelite.solver.precision import check_scoring
from caffelite.solver.rules import Rule, find_rule
from caffelite.solver.sources import Reader, Source, test_sources, train_source
from caffelite.solver.stopping import Watched, find_watched
from caffelite.solver.testing import DataSize, data_size, tallied
from caffelite.streams import Streams

ASSUMED = DataSize("", 10_000, 100)
"""The size of data that is not here, for a job that is only looked at."""


@dataclass(frozen=True)
class NetJob:
    """One of a job's nets."""

    param: NetParameter
    asked: NetState
    """The level and stages that the solver asks for."""
    state: NetState
    """What it is built for: the phase, those, and what the net itself asks for."""
    plan: Plan

    @property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads."""
        return self.plan.graph.outputs

    @property
    def data(self) -> DataSize | None:
        """The size of its data, where that is known."""
        return ASSUMED if self.plan.absent else data_size(self.plan)

    def net(
        self,
        streams: Streams,
        dtype: Any,
        share: Net | None = None,
        device: str | None = None,
    ) -> Net:
        """The net, allocated; `share` lends its parameters to the layers of the same names."""
        return Net(
            self.param,
            phase=self.state.phase,
            level=self.asked.level,
            stages=self.asked.stage,
            dtype=dtype,
            streams=streams,
            prefix=self.plan.context.prefix,
            folder=self.plan.context.folder,
            share=share,
            device=device,
            # a net of another type needs other layers
            plan=self.plan if self.plan.context.dtype == np.dtype(dtype) else None,
        )


@dataclass(frozen=True)
class Job:
    """A checked solver."""

    param: SolverParameter
    """What the file says, in today's format, with `max_epoch` as the `max_iter` that it is."""
    path: str
    """The solver file; snapshots may be named after it."""
    rule: type[Rule]
    rate: Callable[[int], float]
    """The learning rate of an iteration."""
    train: NetJob
    tests: tuple[NetJob, ...]
    test_iter: tuple[int, ...]
    """Batches a test, for each test net."""
    watched: Watched | None
    weights: tuple[str, ...]
    """Files of parameters to start from."""
    notes: tuple[str, ...]
    """What its author may not know or not mean, a line each."""
    idle: tuple[str, ...] = ()
    """Fields that are set and have no effect, a line each; `caffelite check` warns of them."""

    @property
    def device(self) -> str | None:
        """Where the file asks to run, if it does: solver_mode and device_id."""
        if not self.param.has("solver_mode"):
            return None
        return f"cuda:{self.param.device_id}" if self.param.solver_mode == SolverMode.GPU else "cpu"


def plan_job(
    param: SolverParameter,
    path: str = "",
    rule: type[Rule] | None = None,
    dtype: Any = np.float32,
    whole: bool = False,
    looks: bool = False,
    data: bool = True,
    data_shapes: Mapping[str, Shape] | None = None,
) -> Job:
    """Check a solver and plan its nets; nothing is run or allocated.

    `path` names the solver file: relative paths are looked for from its folder too. `rule` is used
    whatever the solver's `type` says. `whole`: the run is to go to its end, so it must have one.
    `looks`: nothing is to be run, so that a folder of snapshots and data that are not there yet are
    only noted; without `data` no files of data are looked for. `data_shapes`: stand-in data where
    the data are not here (`caffelite.report.standin`). Raises CaffeliteError with every mistake in
    the solver and its nets."""
    param, _ = upgrade_solver(param)
    return _Planner(param, path, rule, dtype, looks, data, data_shapes).job(whole, looks)


def load_job(
    source: str | os.PathLike[str] | SolverParameter,
    path: str = "",
    rule: type[Rule] | None = None,
    dtype: Any = np.float32,
    whole: bool = False,
    data_shapes: Mapping[str, Shape] | None = None,
) -> Job:
    """As `plan_job`, from a file or a message, caffelite's or protobuf's. The mistakes of the text
    are raised together with those of the job."""
    if is_protobuf(source):
        source = from_protobuf(source, SolverParameter)
    if isinstance(source, SolverParameter):
        return plan_job(source, path, rule, dtype, whole, data_shapes=data_shapes)
    problems: list[Problem] = []
    param = load_solver(source, problems)
    try:
        job = plan_job(param, os.fspath(source), rule, dtype, whole, data_shapes=data_shapes)
    except CaffeliteError as error:
        kind = SolverError if problems else type(error)
        raise kind(*joined(problems, error.problems)) from None
    if problems:
        raise SchemaError(*problems)
    return job


class _Planner:
    """Where a job comes together, and the mistakes on the way."""

    def __init__(
        self,
        param: SolverParameter,
        path: str,
        rule: type[Rule] | None,
        dtype: Any,
        outline: bool,
        data: bool,
        data_shapes: Mapping[str, Shape] | None = None,
    ) -> None:
        self.plan = outline_net if outline else plan_net
        self.data, self.data_shapes = data, data_shapes
        self.param, self.path, self.rule, self.dtype = param, path, rule, np.dtype(dtype)
        self.folder = os.path.dirname(path)
        self.reader = Reader(self.folder)
        self.mistakes = Mistakes()
        self.watched: Watched | None = None
        self.notes: list[str] = []

    def job(self, whole: bool, looks: bool = False) -> Job:
        param, mistakes = self.param, self.mistakes
        self._check_fields(whole, looks)
        weights = self._weights()
        train, tests = self._nets()
        counted, test_iter = param, list(param.test_iter)
        with mistakes:
            # where either number is wrong that has been said already
            if train and param.max_epoch >= 1 and param.iter_size >= 1:
                counted = lengths.with_max_iter(param, train.data)
        with mistakes:
            if None not in tests:
                test_iter = lengths.test_iterations(param, [t.data for t in tests if t])
        mistakes.refuse()
        assert train is not None and self.rule is not None
        planned = tuple(test for test in tests if test is not None)
        notes = momentum_note(param, self.rule)
        if not any(net.plan.absent for net in (train, *planned)):
            notes += lengths.epoch_notes(param, counted, train.data)
            notes += lengths.test_notes(param, [test.data for test in planned], test_iter)
        return Job(
            counted,
            self.path,
            self.rule,
            learning_rate(counted),
            train,
            planned,
            tuple(test_iter),
            self.watched,
            weights,
            (*self.notes, *notes),
            tuple(idle_notes(param, self.rule)),
        )

    def _check_fields(self, whole: bool, looks: bool) -> None:
        """What the solver's own fields say."""
        param, mistakes = self.param, self.mistakes
        if self.data and (refused := solver_refusals(param)):
            mistakes.add(*refused)  # without data the files are looked at, and no run is meant
        with mistakes:
            check_numbers(param)
        with mistakes:
            self.rule = self.rule or find_rule(param)
            check_rule(param, self.rule)
        with mistakes:
            learning_rate(param)
        missing = snapshot.missing_folder(param) if snapshot.writes(param) else ""
        if missing and looks:
            self.notes.append(f"snapshot_prefix: {missing} is still to be made: mkdir -p {missing}")
        with mistakes:
            if snapshot.writes(param) and not (missing and looks):
                snapshot.check_prefix(param)
        if whole and not (param.given("max_iter") or param.given("max_epoch")):
            mistakes.add(lengths.no_end(param))

    def _weights(self) -> tuple[str, ...]:
        """The files of parameters, which must be there; commas separate some."""
        paths = []
        for i, entry in enumerate(self.param.weights):
            for name in entry.split(","):
                with self.mistakes:
                    span = self.param.span("weights", i)
                    paths.append(find_path(name.strip(), self.folder, span, "file of parameters"))
        return tuple(paths)

    def _nets(self) -> tuple[NetJob | None, list[NetJob | None]]:
        """The net to train and those to test, None for what cannot be built."""
        param = self.param
        train: NetJob | None = None
        tests: list[NetJob | None] = []
        with self.mistakes:
            source = train_source(param)
            train = self._net(source, Phase.TRAIN, param.train_state, "train/")
            sources = test_sources(param)
            watches = param.given("watch") and bool(param.patience or param.keep_best)
            for i, test in enumerate(sources):
                asked = param.test_state[i] if i < len(param.test_state) else NetState()
                watched = watches and i == param.watch_net
                tests.append(self._net(test, Phase.TEST, asked, f"test{i}/", watched))
            if watches:
                stopping.check_net(param, len(sources))
            check_scoring(param, [tallied(test.plan) for test in tests if test is not None])
        return train, tests

    def _net(
        self, source: Source, phase: Phase, asked: NetState, prefix: str, watched: bool = False
    ) -> NetJob | None:
        with self.mistakes:
            net, folder = self.reader.read(*source)
            state = state_for(net, phase, asked.level, list(asked.stage))
            if self.data_shapes is not None:
                tops = {top for layer in net.layer if included(layer, state) for top in layer.top}
                here = {name: s for name, s in self.data_shapes.items() if name in tops}
                net = stand_in(net, [state], here, folder)
            if phase == Phase.TRAIN and self.data and (refused := update_refusals(net)):
                raise NetError(*refused)
            context = Context(phase, self.dtype, prefix, folder, self.data)
            plan = self.plan(net, state, context)
            if watched:
                with self.mistakes:
                    self.watched = find_watched(self.param, plan)
            return NetJob(net, asked, state, plan)
        return None
