"""From a SolverParameter to its nets: one to train, any number to test."""

from __future__ import annotations

import os
from typing import Any

from caffelite.errors import Problem, SolverError, Span
from caffelite.files import load_net, modern_net
from caffelite.net import Net
from caffelite.paths import find_path
from caffelite.schema.bounds import out_of_bounds
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter, NetState
from caffelite.schema.solver import SolverParameter
from caffelite.solver.testing import data_size
from caffelite.streams import Streams

MAX_ITER = "how many iterations to run, max_iter: 1000"
TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


def check(param: SolverParameter) -> None:
    """Refuse numbers that no run can be made of, all at once."""
    problems = list(out_of_bounds(param))

    def refuse(name: str, wrong: bool, expected: str) -> None:
        if wrong:
            value = param.get(name)
            shown = f'"{value}"' if isinstance(value, str) else value
            problems.append(Problem(f"{name} cannot be {shown}", param.span(name), expected))

    refuse("clip_gradients", param.clip_gradients == 0, "above 0; left out, or -1: no limit")
    if param.has("min_lr"):
        refuse("min_lr", param.min_lr > param.base_lr, f"at most base_lr, {param.base_lr:g}")
    if param.has("max_epoch") and param.has("max_iter"):
        message = "max_iter and max_epoch are both given"
        problems.append(Problem(message, param.span("max_epoch"), "one of the two"))
    for name in ("patience", "keep_best"):
        if param.get(name) and not param.given("watch"):
            expected = 'an output of the test net to go by, watch: "accuracy"'
            problems.append(Problem(f"{name} needs watch", param.span(name), expected))
    for i, count in enumerate(param.test_iter):
        watched = i == param.watch_net and bool(param.patience or param.keep_best)
        if watched and count == 0:  # a test of no batches has no output to watch
            message = f"test_iter cannot be {count}"
            expected = "1 or more: its output is watched"
            problems.append(Problem(message, param.span("test_iter", i), expected))
    kind = param.regularization_type
    refuse("regularization_type", kind not in ("L1", "L2"), '"L2" or "L1"')
    if problems:
        raise SolverError(*problems)


Source = tuple["NetParameter | str", "Span | None"]
"""A net, or the name of its file, and where it is named."""


def train_source(param: SolverParameter) -> Source:
    """The net to train; a solver names exactly one."""
    given = [name for name in TRAIN_FIELDS if param.has(name)]
    if len(given) != 1:
        raise SolverError(
            Problem(
                "the solver names no net" if not given else f"two nets: {' and '.join(given)}",
                param.span(given[1]) if given else param.span(),
                'one net to train, net: "nets/spiral.net"',
                None if given else "it may be named by " + ", ".join(TRAIN_FIELDS),
            )
        )
    return param.get(given[0]), param.span(given[0])


def test_sources(param: SolverParameter) -> list[Source]:
    """The nets to test: those of test_net_param, of test_net, then as many of `net` as there are
    test_iter left."""
    sources: list[Source] = [
        *((net, net.span()) for net in param.test_net_param),
        *((name, param.span("test_net", i)) for i, name in enumerate(param.test_net)),
    ]
    generic = param.net_param if param.has("net_param") else param.net
    if generic and (param.test_iter or param.test_interval):
        wanted = max(len(param.test_iter), len(sources) or 1) - len(sources)
        sources += [(generic, param.span("net"))] * wanted
    _check_counts(param, len(sources))
    return sources


def train_net(param: SolverParameter, folder: str, streams: Streams, dtype: Any) -> Net:
    """The net to train, allocated."""
    source, base = _load(*train_source(param), folder)
    state = param.train_state
    return Net(
        source,
        phase=Phase.TRAIN,
        level=state.level,
        stages=state.stage,
        dtype=dtype,
        streams=streams,
        prefix="train/",
        folder=base,
    )


def test_nets(
    param: SolverParameter, folder: str, streams: Streams, dtype: Any, trained: Net
) -> list[Net]:
    """The nets to test, allocated; they use the trained net's parameters."""
    nets = []
    train, _ = train_source(param)
    for i, (source, span) in enumerate(test_sources(param)):
        if isinstance(source, str) and source == train:  # read once, and warned of once
            net, base = trained.param, trained.folder
        else:
            net, base = _load(source, span, folder)
        state = param.test_state[i] if i < len(param.test_state) else NetState()
        nets.append(
            Net(
                net,
                phase=Phase.TEST,
                level=state.level,
                stages=state.stage,
                dtype=dtype,
                streams=streams,
                prefix=f"test{i}/",
                folder=base,
                share=trained,
            )
        )
    return nets


def _check_counts(param: SolverParameter, nets: int) -> None:
    if param.test_iter and len(param.test_iter) != nets:
        raise SolverError(
            Problem(
                f"{len(param.test_iter)} test_iter for {nets} test nets",
                param.span("test_iter"),
                "one test_iter for each test net",
            )
        )
    if param.test_state and len(param.test_state) != nets:
        raise SolverError(
            Problem(
                f"{len(param.test_state)} test_state for {nets} test nets",
                param.span("test_state"),
                "one test_state for each test net, or none",
            )
        )
    if nets and not param.test_interval:
        raise SolverError(
            Problem(
                "there are test nets, but no test_interval",
                param.span("test_iter") or param.span("test_net"),
                "how many iterations to train between tests, test_interval: 500",
            )
        )


def test_iterations(param: SolverParameter, nets: list[Net]) -> list[int]:
    """Batches per test for each net: `test_iter`, or as many as cover the test set once."""
    if param.test_iter:
        return list(param.test_iter)
    return [_whole_set(net, param) for net in nets]


def _whole_set(net: Net, param: SolverParameter) -> int:
    if (found := data_size(net)) is not None:
        return found.batches
    raise SolverError(
        Problem(
            "the solver has no test_iter, and the test net's data has no known size",
            param.span("test_interval"),
            "how many batches to test on, test_iter: 100",
        )
    )


def with_max_iter(param: SolverParameter, net: Net) -> SolverParameter:
    """A copy in which `max_epoch` has become `max_iter`: as many iterations as use every sample
    of the training data that often."""
    data = data_size(net)
    if data is None:
        raise SolverError(
            Problem(
                "max_epoch cannot be used: the training data has no known size",
                param.span("max_epoch"),
                MAX_ITER,
            )
        )
    per_iteration = data.batch * param.iter_size
    counted = param.copy()
    counted.max_iter = -(-param.max_epoch * data.size // per_iteration)
    counted.max_epoch = None  # type: ignore[assignment]
    return counted


def from_data(
    param: SolverParameter, counted: SolverParameter, train: Net, tests: list[Net], iters: list[int]
) -> list[str]:
    """What has been counted from the data, and what a test leaves out, as lines to show."""
    lines = []
    if param.has("max_epoch") and (data := data_size(train)) is not None:
        lines.append(
            f"max_epoch: {param.max_epoch} is {counted.max_iter:,} iterations: "
            f'{data.size:,} samples of layer "{data.layer}", {data.batch * param.iter_size:,} each'
        )
    for i, (net, count) in enumerate(zip(tests, iters)):
        if (data := data_size(net)) is None:
            continue
        if not param.test_iter:
            line = f"test net #{i}: test_iter is {count:,}, all {data.size:,} samples of its data"
            twice = count * data.batch - data.size
            if twice:
                line += f", {twice} of them twice: the last batch is filled up"
            lines.append(line)
        elif 0 < count * data.batch < data.size:
            lines.append(
                f"test net #{i}: test_iter: {count:,} covers {count * data.batch:,} of the "
                f"{data.size:,} samples; leave test_iter out for all"
            )
    return lines


def _load(source: NetParameter | str, span: Span | None, folder: str) -> tuple[NetParameter, str]:
    """The net, and the folder that its own relative paths start from."""
    if isinstance(source, NetParameter):
        return modern_net(source, "the solver's net"), folder
    path = find_path(source, folder, span, "net file")
    return load_net(path), os.path.dirname(path)
