"""The engine `numpy`: the layers' own methods, some of them fused or flattened; always there."""

from __future__ import annotations

from caffelite.engines.base import Engine
from caffelite.run.executor import MakeSession


def _always() -> None:
    return None


def _start(device: str) -> MakeSession:
    if device != "cpu":
        raise RuntimeError("NumPy runs on the CPU")
    from caffelite.engines.numpy.session import NumpySession

    return NumpySession


ENGINE = Engine(
    name="numpy",
    about="the layers' own NumPy methods",
    missing=_always,
    least_work=None,
    start=_start,
)
