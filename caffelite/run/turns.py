"""A net is run by one thread at a time: two would write the same blobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING

from caffelite.errors import NetError, Problem

if TYPE_CHECKING:
    from caffelite.run.executor import Executor


def one_thread(
    run: Callable[[Executor, int | None, int | None], None],
) -> Callable[..., None]:
    """A pass that is refused, with NetError, while another thread is in one."""

    @wraps(run)
    def guarded(self: Executor, start: int | None = None, end: int | None = None) -> None:
        if not self.turn.acquire(False):
            raise NetError(
                Problem(
                    "the net is running in another thread; its blobs hold one batch",
                    expected="one thread at a time",
                    hint="make a net for each thread, or hold a lock around the passes",
                )
            )
        try:
            run(self, start, end)
        finally:
            self.turn.release()

    return guarded
