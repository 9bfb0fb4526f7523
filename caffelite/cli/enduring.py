"""Standard output for a run that must not end with its reader.

A closed pipe, a terminal that has gone or a full disk costs the display, not the run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, TextIO


class Enduring:
    """A text stream that passes everything on to another one, and is silent once that fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failed = False

    def write(self, text: str) -> int:
        """Write, if that can be done."""
        if not self.failed:
            try:
                return self._stream.write(text)
            except (OSError, ValueError):
                self._give_up()
        return len(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        if not self.failed:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._give_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self) -> None:
        self.failed = True
        with contextlib.suppress(OSError, ValueError):
            # what waits in the stream's buffer would fail again at exit
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)
        say("what the run prints cannot be written any more; the run goes on")


def say(text: str) -> None:
    """A line on stderr, if that can be written."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)
