"""The engine `numpy`: the layers' own methods, always there."""

from __future__ import annotations

from caffelite.engines.base import Engine
from caffelite.run.executor import MakeSession
from caffelite.run.session import Session


def _always() -> None:
    return None


def _start(device: str) -> MakeSession:
    if device != "cpu":
        raise RuntimeError("NumPy runs on the CPU")
    return Session


ENGINE = Engine(
    name="numpy",
    about="the layers' own NumPy methods",
    missing=_always,
    least_work=None,
    start=_start,
)
