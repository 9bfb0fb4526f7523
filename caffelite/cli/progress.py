"""How far a long job is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

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
