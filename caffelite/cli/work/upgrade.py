"""The work of `caffelite upgrade`."""

from __future__ import annotations

import argparse
import re
from typing import Union

from caffelite.cli.console import refuse_overwriting
from caffelite.errors import Problem, SchemaError, SnapshotError
from caffelite.files import bind_block, is_solver
from caffelite.filetypes import EMPTY
from caffelite.schema import legacy
from caffelite.schema.binary import decode, halved, read_bytes, write_atomically
from caffelite.schema.net import NetParameter
from caffelite.schema.pieces import pieces
from caffelite.schema.solver import SolverParameter
from caffelite.schema.sorts import net_in, solver_in
from caffelite.schema.unknown import unknown_fields
from caffelite.schema.wire import foreign
from caffelite.seal import SIZE, sealed, sealed_with, verify_file
from caffelite.text import parse, read_source

Definition = Union[NetParameter, SolverParameter]
BINARY = (".caffemodel", ".binaryproto", ".pb")


def run(args: argparse.Namespace) -> int:
    """Upgrade one file; 0."""
    source, target = args.source, args.target
    refuse_overwriting(source, target, args.force)
    message, notes = (_read_binary if source.endswith(BINARY) else _read_text)(source)
    upgraded: NetParameter | SolverParameter
    if isinstance(message, SolverParameter):
        kind = "solver"
        upgraded, done = legacy.upgrade_solver(message)
    else:
        kind = "net"
        upgraded, done = legacy.upgrade_net(message)
    if args.half:
        _halve(upgraded, target)
    for line in done or ([] if args.half else ["already up to date"]):
        print(f"{source}: {line}")
    if target.endswith(BINARY):
        data = pieces(upgraded)
        if source.endswith(BINARY) and sealed_with(source):  # other programs' files have none
            data = sealed(data)
    else:
        if source.endswith(BINARY):
            notes += _without_parameters(upgraded)
        data = iter([str(upgraded).encode("utf-8", "surrogateescape")])
    for line in notes:
        print(f"{source}: {line}")
    write_atomically(target, data)
    print(f"{target}: {kind} written")
    return 0


def _halve(message: Definition, target: str) -> None:
    layers = message.layer if isinstance(message, NetParameter) else []
    if not target.endswith(BINARY) or not any(layer.has("blobs") for layer in layers):
        raise SnapshotError(
            Problem(
                "--half stores learned parameters, and there are none to store",
                expected="IN and OUT .caffemodel files",
            )
        )
    for layer in layers:
        layer.blobs = [halved(blob) for blob in layer.blobs]


def _read_text(path: str) -> tuple[Definition, list[str]]:
    source = read_source(path)
    block = parse(source)
    if not block.fields:
        raise SchemaError(Problem(f"{path}: there is no field in this file", None, "a net"))
    problems: list[Problem] = []
    cls: type[Definition] = SolverParameter if is_solver(block) else NetParameter
    message = bind_block(block, cls, problems)
    if problems:
        raise SchemaError(*problems)
    lost = ["its comments are lost: the format has no place for them"]
    return message, lost if has_comments(source.text) else []


_STRING_OR_COMMENT = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#""")


def has_comments(text: str) -> bool:
    """Is there a `#` outside of strings?"""
    return any(match[0] == "#" for match in _STRING_OR_COMMENT.finditer(text))


def _read_binary(path: str) -> tuple[Definition, list[str]]:
    legacy.declare()
    data = read_bytes(path)
    if sealed_with(path):
        verify_file(path)
        data = data[:-SIZE]
    if not data:
        raise SnapshotError(f"{path}: this is {EMPTY.name}")
    what = foreign(data)
    if what is not None:
        hint = "give it a name that does not end in " + " or ".join(BINARY)
        text = hint if "text" in what else None
        raise SnapshotError(
            Problem(f"{path}: {what}", expected="a binary net or solver", hint=text)
        )
    message: Definition | None = net_in(data) or solver_in(data)
    if message is None:
        decode(data, NetParameter, path, "a net")  # bytes that are no message say why
        raise SnapshotError(
            Problem(
                f"{path}: this is neither a net nor a solver", expected="one with layers or net"
            )
        )
    unknown = unknown_fields(data, type(message))
    lines = [f"left out, as unknown here (a fork of Caffe's?): {', '.join(unknown)}"]
    return message, lines if unknown else []


def _without_parameters(message: Definition) -> list[str]:
    """Take learned parameters out of a net that becomes text."""
    layers = message.layer if isinstance(message, NetParameter) else []
    learned = [layer for layer in layers if layer.has("blobs")]
    for layer in learned:
        layer.blobs = None  # type: ignore[assignment]
    if not learned:
        return []
    return [f"the learned parameters of {len(learned)} layers are left out: OUT is text"]
