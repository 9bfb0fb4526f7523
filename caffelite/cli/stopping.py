"""Ctrl-C that lets a job end in order: it is asked to stop, and a second one stops it at once."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType


class Stopping:
    """`asked` becomes true with the first Ctrl-C, which `text` answers on stderr."""

    def __init__(self, text: str) -> None:
        self.text, self.asked = text, False
        self._old: object = None

    def __enter__(self) -> Stopping:
        self._old = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._old)  # type: ignore[arg-type]

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print(f"{self.text} (again to stop at once)", file=sys.stderr, flush=True)
