"""Which nets a solver names: one to train, any number to test."""

from __future__ import annotations

import os

from caffelite.errors import Problem, SolverError, Span
from caffelite.files import load_net, modern_net
from caffelite.paths import find_path
from caffelite.schema.net import NetParameter
from caffelite.schema.solver import SolverParameter

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")
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
                param.span("test_iter" if param.test_iter else "test_net"),
                "how many iterations to train between tests, test_interval: 500",
            )
        )


class Reader:
    """Reads the nets that a solver names, each once: what is doubtful in it is said once too."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        """Of the solver file."""
        self._read: dict[str | int, tuple[NetParameter, str]] = {}

    def read(self, source: NetParameter | str, span: Span | None) -> tuple[NetParameter, str]:
        """The net, and the folder that its own relative paths start from."""
        key = source if isinstance(source, str) else id(source)
        if key not in self._read:
            if isinstance(source, str):
                path = find_path(source, self.folder, span, "net file")
                self._read[key] = load_net(path), os.path.dirname(path)
            else:
                self._read[key] = modern_net(source, "the solver's net"), self.folder
        return self._read[key]
