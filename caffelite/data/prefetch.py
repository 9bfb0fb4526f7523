"""Prefetch: a thread that makes batches ahead, while the net computes."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from caffelite.blob import Array
from caffelite.data.feed import Feed

_Ready = Union["tuple[list[Array], dict[str, Any]]", BaseException]
_Free = Union["list[Array]", None]


class Prefetch:
    """A feed that runs another one in a thread, up to `depth` batches ahead.

    The thread starts with the first batch that is wanted. Each batch comes with the state that the
    feed had after making it, so `state()` tells what has been used and not what was made ahead. An
    error in the thread is raised, as it is, where its batch was to come.
    """

    def __init__(self, feed: Feed, depth: int) -> None:
        self._feed = feed
        self._depth = max(1, depth)
        self._state = feed.state()
        self._stop: weakref.finalize | None = None
        self._error: BaseException | None = None

    def fill(self, out: Sequence[Array]) -> None:
        if self._error is not None:
            raise self._error
        if self._stop is None:
            self._start(out)
        ready = self._ready.get()
        if isinstance(ready, BaseException):
            self._error = ready
            raise ready
        batch, self._state = ready
        for target, values in zip(out, batch):
            np.copyto(target, values)
        self._free.put(batch)

    def state(self) -> dict[str, Any]:
        return self._state

    def restore(self, state: dict[str, Any]) -> None:
        self.close()
        self._feed.restore(state)
        self._state = state

    def close(self) -> None:
        """Stop the thread; batches that were not used are forgotten."""
        if self._stop is not None:
            self._stop()
            self._stop = None
            self._error = None
            self._feed.restore(self._state)

    def _start(self, like: Sequence[Array]) -> None:
        self._free: queue.SimpleQueue[_Free] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[_Ready] = queue.SimpleQueue()
        for _ in range(self._depth):
            self._free.put([np.zeros_like(array) for array in like])
        # The thread must not know this object: it would never be collected and never stop.
        thread = threading.Thread(
            target=_work, args=(self._feed, self._free, self._ready), daemon=True
        )
        self._stop = weakref.finalize(self, _stop, self._free, thread)
        thread.start()


def _work(feed: Feed, free: queue.SimpleQueue[_Free], ready: queue.SimpleQueue[_Ready]) -> None:
    while (batch := free.get()) is not None:
        try:
            feed.fill(batch)
            ready.put((batch, feed.state()))
        except BaseException as error:
            ready.put(error)
            return


def _stop(free: queue.SimpleQueue[_Free], thread: threading.Thread) -> None:
    while True:  # at most the batch in the making is still made
        try:
            free.get_nowait()
        except queue.Empty:
            break
    free.put(None)
    if thread is not threading.current_thread() and thread.is_alive():
        thread.join(timeout=10)
