"""Messages of `caffe_pb2`, and paths, as caffelite's own."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from caffelite.files import modern_net
from caffelite.protobufs import from_protobuf, is_protobuf
from caffelite.pycaffe.hook import allow_layers
from caffelite.schema.legacy import upgrade_solver
from caffelite.schema.message import Message
from caffelite.schema.net import NetParameter
from caffelite.schema.solver import SolverParameter

M = TypeVar("M", bound=Message)


def net_source(source: Any) -> str | NetParameter:
    """A path, or the net that a message says; its `Python` layers may run."""
    allow_layers()
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return modern_net(_own(source, NetParameter), "<NetParameter>")


def solver_source(source: Any) -> str | SolverParameter:
    """A path, or the solver that a message says; its nets' `Python` layers may run."""
    allow_layers()
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return upgrade_solver(_own(source, SolverParameter))[0]


def _own(source: Any, cls: type[M]) -> M:
    if isinstance(source, cls):
        return source
    if not is_protobuf(source):
        raise TypeError(f"a path or a {cls.__name__} is needed, not {type(source).__name__}")
    return from_protobuf(source, cls)
