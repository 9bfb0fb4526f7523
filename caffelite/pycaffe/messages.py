"""Messages of `caffe_pb2`, and paths, as caffelite's own."""

from __future__ import annotations

import os
from typing import Any

from caffelite.files import modern_net
from caffelite.pycaffe.hook import allow_layers
from caffelite.schema import legacy
from caffelite.schema.legacy import upgrade_solver
from caffelite.schema.message import Message
from caffelite.schema.net import NetParameter
from caffelite.schema.solver import SolverParameter
from caffelite.schema.wire import decode


def net_source(source: Any) -> str | NetParameter:
    """A path, or the net that a message says; its `Python` layers may run."""
    allow_layers()
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = "NetParameter"
    legacy.declare()
    return modern_net(_own(source, NetParameter, name), name)


def solver_source(source: Any) -> str | SolverParameter:
    """A path, or the solver that a message says; its nets' `Python` layers may run."""
    allow_layers()
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return upgrade_solver(_own(source, SolverParameter, "SolverParameter"))[0]


def _own(source: Any, cls: Any, name: str) -> Any:
    if isinstance(source, Message):
        return source
    if not hasattr(source, "SerializeToString"):
        raise TypeError(f"a path or a {name} is needed, not {type(source).__name__}")
    return decode(source.SerializeToString(), cls, name)
