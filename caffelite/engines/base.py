"""Engine: what runs the steps of a net's passes, described without starting it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from caffelite.plan.build import Plan
from caffelite.run.executor import MakeSession


@dataclass(frozen=True)
class Engine:
    """One engine. Its folder's `__init__.py` names it `ENGINE` and imports nothing heavy."""

    name: str
    about: str
    """What it is, in a few words."""
    missing: Callable[[], str | None]
    """Why it cannot be used here, if so. Must not import what is costly to import."""
    least_work: int | None
    """From how many multiply-adds a forward pass it is chosen by itself; None: never."""
    start: Callable[[str], MakeSession]
    """Start it for a device ("cpu", "cuda", "cuda:1", "mps"). Raises RuntimeError, with the reason,
    where that cannot be."""
    refuses: Callable[[Plan], str | None] = lambda plan: None
    """Why it does not run this net, if so."""
