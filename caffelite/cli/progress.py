"""How far a long job is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def progress(items: Sequence[T] | Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The items again, with a bar below while they are used up; in a pipe, without."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(
        items, f"{what}:", total=total, console=Console(stderr=True), transient=True, disable=False
    )


class Bar:
    """A bar for a job that says itself when it goes on; in a pipe, none."""

    def __init__(self, what: str, total: int) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(f"{what}:", total=total)
            self._bar.start()

    def advance(self) -> None:
        """One more is done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def stop(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()
