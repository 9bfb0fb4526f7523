"""Gradients of blobs that are let go of once they have been used.

A backward pass needs the gradient of a blob only until the layers before it have run. Where nobody
asks for such gradients their memory is free for those that follow. Who asks all the same gets them:
the pass is run once more, if that can still be done, and from then on the net keeps them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caffelite.errors import NetError, Problem
from caffelite.run.keeping import close

if TYPE_CHECKING:
    from caffelite.run.executor import Executor


def let_gradients_go(executor: Executor) -> None:
    """From now on whole backward passes keep the gradients of parameters and inputs, and no others,
    on an engine that can (torch). For runs in which nobody looks at the others."""
    executor.session.let_gradients_go()
    executor.forget()


def keep_gradients(executor: Executor) -> None:
    """Somebody asks for the gradient of a blob. Raises NetError if it is lost: then the net or its
    batch is another one since the last backward pass."""
    session, arena = executor.session, executor.arena
    if not session.lets_go:
        return
    lost, session.lets_go, session.has_let_go = session.has_let_go, False, False
    executor.forget()
    if not lost:
        return
    before = arena.diff.copy()
    arena.clear_diff()
    executor.backward()
    same = close(arena.diff, before)
    np.copyto(arena.diff, before)
    if not same:
        raise NetError(
            Problem(
                "the blob's gradient was not kept by the last pass, and inputs, parameters or "
                "their gradients have changed since then",
                hint="run forward and backward again; from now on this net keeps all gradients",
            )
        )
