"""Reading net and solver files: text to message, old formats brought up to date."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from caffelite.errors import Problem, SchemaError, Source
from caffelite.layers import registry  # layers bring their messages
from caffelite.layers.base import Layer, layer_class
from caffelite.paths import find_path as find_path
from caffelite.schema import forks, legacy
from caffelite.schema.bind import bind_into, hints, keeps
from caffelite.schema.common import LossParameter, TransformationParameter
from caffelite.schema.legacy_messages import V1LayerParameter
from caffelite.schema.message import FieldSpec, M, Message
from caffelite.schema.net import LayerMessage, LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter
from caffelite.text import Block, Field, Scalar, parse, read_source

OWN = (LayerMessage, LossParameter, TransformationParameter)
"""Messages that only some types of layer read."""

log = logging.getLogger("caffelite")
doubt_log = logging.getLogger("caffelite.doubts")
"""Where doubts go while a net is read; commands that show them as warnings silence it."""


def parse_message(source: Source, cls: type[M], problems: list[Problem] | None = None) -> M:
    """The message that a text says. Raises ParseError, or SchemaError with all mistakes; where a
    list of `problems` is given, these are added to it instead."""
    found: list[Problem] = []
    block = parse(source)
    _refuse_the_other(block, cls, source.name)
    message = bind_block(block, cls, found)
    if problems is not None:
        problems += found
    elif found:
        raise SchemaError(*found)
    return message


def bind_block(block: Block, cls: type[M], problems: list[Problem]) -> M:
    """The message that a parsed text says; its mistakes are added to `problems`."""
    legacy.declare()
    if block.fields:
        # what is missing in the file is reported at its first field, not at a comment above it
        block.span = block.fields[0].span
    return bind_into(block, cls, problems)


def is_solver(block: Block) -> bool:
    """Which of the two a file is: by its fields, most of which only one of them has."""
    names = {field.name for field in block.fields}
    return len(names & SolverParameter.specs.keys()) > len(names & NetParameter.specs.keys())


def _refuse_the_other(block: Block, cls: type[Message], name: str) -> None:
    names = {field.name for field in block.fields}
    if not names or cls not in (NetParameter, SolverParameter) or names & cls.specs.keys():
        return
    if cls is NetParameter and is_solver(block):
        problem = Problem(
            f"{name}: this is a solver file, where a net is expected",
            hint="the net is the file that it names; `caffelite train` takes the solver",
        )
    elif cls is SolverParameter and names & NetParameter.specs.keys():
        problem = Problem(
            f"{name}: this is a net, where a solver file is expected",
            hint=f'a solver names its net, net: "{name}"; `caffelite test` takes the net',
        )
    else:
        return
    raise SchemaError(problem)


def load_net(path: str | os.PathLike[str]) -> NetParameter:
    """A net file, brought up to date if it is in an old format."""
    net = parse_message(read_source(path), NetParameter)
    return modern_net(net, str(path), copy=False)


def parse_net(text: str, name: str = "<text>") -> NetParameter:
    """As `load_net`, from a string."""
    return modern_net(parse_message(Source(name, text), NetParameter), name, copy=False)


def modern_net(net: NetParameter, name: str, copy: bool = True) -> NetParameter:
    """The net in today's format, with one line of log for each kind of upgrade. `net` itself stays
    as it is unless `copy` is False."""
    net, done = legacy.upgrade_net(net, copy)
    for line in done:
        log.info("%s: %s", name, line)
    for _, problem in doubts(net) if doubt_log.isEnabledFor(logging.WARNING) else ():
        doubt_log.warning("%s", replace(problem, message=f"warning: {problem.message}"))
    return net


def doubts(net: NetParameter) -> list[tuple[str, Problem]]:
    """What a net may say, but hardly means, with the name of the warning: messages that a layer
    does not read, fields that have moved, two layers of one name."""
    found: list[tuple[str, Problem]] = []
    names: dict[str, LayerParameter] = {}
    read: dict[type[Layer], Mapping[str, type[Message]]] = {}
    for layer in net.layer:
        cls = layer_class(layer)
        given = [(spec, m) for spec, m in layer.set_fields() if isinstance(m, Message)]
        if cls is not None and cls not in read:
            read[cls] = cls.messages()
        for spec, own in given:
            if cls is None or not isinstance(own, OWN):
                continue
            if spec.name not in read[cls] and not _elsewhere(layer, cls, spec):
                reads = ", ".join(read[cls]) or "no message of its own"
                message = f'layer "{layer.name}" ({layer.type}) does not use {spec.name}'
                found.append(("unused-message", Problem(message, layer.span(spec.name), reads)))
        found += [("moved-field", problem) for problem in _moved_fields(layer, given)]
        other = names.get(layer.name) if layer.name else None
        keeps = cls is None or not cls.loss  # a loss has no parameters to be mixed up
        if other is not None and keeps and not (_has_rules(layer) or _has_rules(other)):
            where = other.span("name")
            problem = Problem(
                f'there are two layers "{layer.name}"',
                layer.span("name"),
                "a name of its own for each: parameters are saved and copied by layer name",
                f"the first is on line {where.line}" if where else None,
            )
            found.append(("same-name", problem))
        names.setdefault(layer.name, layer)
    found += [("fork-field", problem) for problem in forks.unfollowed(net)]
    return found


def _elsewhere(layer: LayerParameter, cls: type[Layer], spec: FieldSpec) -> bool:
    """Is a message that the layer itself does not read read by others: that of the Python class
    which it stands for, and the transform_param of what its user fills (`caffelite predict`)?"""
    if spec.message_type is TransformationParameter:
        return cls.fed or cls.source
    return bool(cls.python) and layer.type != cls.type


def _moved_fields(
    layer: LayerParameter, given: Sequence[tuple[FieldSpec, Message]]
) -> list[Problem]:
    """Fields of data layers that transform_param took over; in today's format nobody reads them
    where they used to be (window_data_param's scale excepted)."""
    found = []
    for home, message in given:
        if not home.name.endswith("_data_param") and home.name != "data_param":
            continue
        for spec, _ in message.set_fields():
            moved = spec.deprecated and spec.name in legacy.TRANSFORM_FIELDS
            if moved and (home.name, spec.name) != ("window_data_param", "scale"):
                found.append(
                    Problem(
                        f'layer "{layer.name}": {spec.name} in {home.name} has no effect',
                        message.span(spec.name),
                        f"transform_param {{ {spec.name}: ... }}",
                    )
                )
    return found


def _has_rules(layer: LayerParameter) -> bool:
    return bool(layer.include or layer.exclude)


def load_solver(
    path: str | os.PathLike[str], problems: list[Problem] | None = None
) -> SolverParameter:
    """A solver file, brought up to date if it is in an old format. `problems`: see
    `parse_message`."""
    param = parse_message(read_source(path), SolverParameter, problems)
    param, done = legacy.upgrade_solver(param)
    for line in done:
        log.info("%s: %s", path, line)
    for problem in forks.unfollowed(param):
        doubt_log.warning("%s", replace(problem, message=f"warning: {problem.message}"))
    return param


def _belongs_elsewhere(message: Message, name: str) -> str | None:
    """For a field written a level too high: "num_output belongs in inner_product_param"."""
    if not isinstance(message, LayerParameter):
        return None
    homes = [
        spec.name
        for spec in message.specs.values()
        if spec.message_type is not None and name in spec.message_type.specs
    ]
    cls = layer_class(message)
    own = [home for home in homes if cls and home in cls.messages()]
    if own:
        return f"it belongs in {own[0]} {{ {name}: ... }}"
    return f"{name} is a field of {', '.join(sorted(homes)[:4])}" if homes else None


_OTHER_WORDS = {
    "learning_rate": "base_lr",
    "lr": "base_lr",
    "iterations": "max_iter",
    "max_iterations": "max_iter",
    "seed": "random_seed",
    "optimizer": "type",
    "model": "net",
}


def _other_word(message: Message, name: str) -> str | None:
    """What other libraries call a solver's field."""
    if not isinstance(message, SolverParameter) or name not in _OTHER_WORDS:
        return None
    message.meant(_OTHER_WORDS[name])
    return f"here it is called {_OTHER_WORDS[name]}"


def _of_a_fork(message: Message, block: Block, item: Field) -> bool:
    """Is a field that is not declared one of a fork's that is known, its engine one of a fork's, or
    is it the parameters of a type of layer that is not known? (Then the type is what is wrong, if
    the layer is there at all.)"""
    key = (type(message).__name__, item.name)
    if key in forks.FIELDS:
        words = forks.WORDS.get(key)
        return words is None or (isinstance(item.value, Scalar) and item.value.raw in words)
    if forks.engine_of(item):
        return True
    if isinstance(message, V1LayerParameter):
        return legacy.of_a_fork(message, block, item)
    if not isinstance(message, LayerParameter) or not isinstance(item.value, Block):
        return False
    first = block.first("type")
    kind = first.value if first is not None else None
    if not isinstance(kind, Scalar) or not isinstance(kind.value, bytes):
        return False
    return kind.value.decode(errors="replace") not in registry


keeps.append(_of_a_fork)
hints.extend([_belongs_elsewhere, _other_word])
