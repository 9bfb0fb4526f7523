"""Reading net and solver files: text to message, old formats brought up to date."""

from __future__ import annotations

import logging
import os

from caffelite import layers as _layers  # noqa: F401  (layers bring their messages)
from caffelite.errors import Problem, SchemaError, Source
from caffelite.paths import find_path as find_path
from caffelite.schema import legacy
from caffelite.schema.bind import bind_into, hints
from caffelite.schema.message import M, Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter
from caffelite.text import parse, read_source

log = logging.getLogger("caffelite")


def parse_message(source: Source, cls: type[M]) -> M:
    """The message that a text says. Raises ParseError, or SchemaError with all mistakes."""
    legacy.declare()
    problems: list[Problem] = []
    message = bind_into(parse(source), cls, problems)
    if problems:
        raise SchemaError(*problems)
    return message


def load_net(path: str | os.PathLike[str]) -> NetParameter:
    """A net file, brought up to date if it is in an old format."""
    net = parse_message(read_source(path), NetParameter)
    return modern_net(net, str(path))


def parse_net(text: str, name: str = "<text>") -> NetParameter:
    """As `load_net`, from a string."""
    return modern_net(parse_message(Source(name, text), NetParameter), name)


def modern_net(net: NetParameter, name: str) -> NetParameter:
    """The net in today's format, with one line of log for each kind of upgrade."""
    net, done = legacy.upgrade_net(net)
    for line in done:
        log.info("%s: %s", name, line)
    return net


def load_solver(path: str | os.PathLike[str]) -> SolverParameter:
    """A solver file, brought up to date if it is in an old format."""
    param = parse_message(read_source(path), SolverParameter)
    param, done = legacy.upgrade_solver(param)
    for line in done:
        log.info("%s: %s", path, line)
    return param


def _belongs_elsewhere(cls: type[Message], name: str) -> str | None:
    """For a field written a level too high: "num_output belongs in inner_product_param"."""
    if cls is not LayerParameter:
        return None
    homes = [
        spec.name
        for spec in cls.specs.values()
        if spec.message_type is not None and name in spec.message_type.specs
    ]
    return f"{name} is a field of {', '.join(sorted(homes)[:4])}" if homes else None


hints.append(_belongs_elsewhere)
