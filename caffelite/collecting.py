"""Pausing Python's garbage collector while many objects are made that all stay."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection(old: bool = False) -> Iterator[None]:
    """Collect nothing meanwhile. Planning and compiling a net of 10,000 layers makes a million
    objects and no garbage; the collector would walk through all of them again and again. With
    `old` it does not do so at the end either: all that is there then waits for a full collection,
    which is right where no large arrays can hang on it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if old and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()  # to the oldest generation
            gc.enable()


def leave_at_exit() -> None:
    """For a command that keeps nothing open: as the process ends its objects are left to the
    system, without a last walk through them."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
