"""A net is run by one thread at a time: two would write the same blobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from caffelite.errors import NetError, Problem

if TYPE_CHECKING:
    from caffelite.run.executor import Executor

P = ParamSpec("P")


def one_thread(
    run: Callable[Concatenate[Executor, P], None],
) -> Callable[Concatenate[Executor, P], None]:
    """A pass that is refused, with NetError, while another thread is in one."""

    @wraps(run)
    def guarded(self: Executor, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if not self.turn.acquire(blocking=False):
            raise NetError(
                Problem(
                    "the net is running in another thread; its blobs hold one batch",
                    expected="one thread at a time",
                    hint="make a net for each thread, or hold a lock around the passes",
                )
            )
        try:
            run(self, *args, **kwargs)
        finally:
            self.turn.release()

    return guarded
