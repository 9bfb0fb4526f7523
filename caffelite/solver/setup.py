"""From a SolverParameter to its nets: one to train, any number to test."""

from __future__ import annotations

import os
from typing import Any

from caffelite.errors import Problem, SolverError, Span
from caffelite.files import load_net, modern_net
from caffelite.net import Net
from caffelite.paths import find_path
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter, NetState
from caffelite.schema.solver import SolverParameter
from caffelite.streams import Streams

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


def check(param: SolverParameter) -> None:
    """Refuse numbers that no run can be made of, all at once."""
    problems: list[Problem] = []

    def refuse(name: str, wrong: bool, expected: str) -> None:
        if wrong:
            value = param.get(name)
            shown = f'"{value}"' if isinstance(value, str) else value
            problems.append(Problem(f"{name} cannot be {shown}", param.span(name), expected))

    for name in ("test_interval", "display", "snapshot", "max_iter"):
        refuse(name, param.get(name) < 0, "0 or more")
    for name in ("iter_size", "average_loss"):
        refuse(name, param.get(name) < 1, "1 or more")
    for i, count in enumerate(param.test_iter):
        if count < 0:
            message = f"test_iter cannot be {count}"
            problems.append(Problem(message, param.span("test_iter", i), "0 or more"))
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
    for i, (source, span) in enumerate(test_sources(param)):
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
    for layer in net.layers:
        size, batch = getattr(layer, "epoch_size", None), getattr(layer, "batch_size", None)
        if size and batch:
            return -(-int(size) // int(batch))
    raise SolverError(
        Problem(
            "the solver has no test_iter, and the test net's data has no known size",
            param.span("test_interval"),
            "how many batches to test on, test_iter: 100",
        )
    )


def _load(source: NetParameter | str, span: Span | None, folder: str) -> tuple[NetParameter, str]:
    """The net, and the folder that its own relative paths start from."""
    if isinstance(source, NetParameter):
        return modern_net(source, "the solver's net"), folder
    path = find_path(source, folder, span, "net file")
    return load_net(path), os.path.dirname(path)
