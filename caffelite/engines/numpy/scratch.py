"""Scratch memory that costs nothing: in the blobs' buffer, where it is free meanwhile.

In inference blobs share a buffer that is as large as the largest that live at the same time. While
other layers run, part of it is free: their scratch lies there. Where little is free tiles become
smaller, and what does not fit lies in the threads' own scratch memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from caffelite.blob import Array
from caffelite.kernels import parallel
from caffelite.run.liveness import ALIGN
from caffelite.run.memory import Memory
from caffelite.run.program import Forward
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession

LEAST = 5 << 16
"""So many bytes a thread may use however little is free: with less, tiles are too small."""
OTHERS = 1 << 20
"""What plan and BLAS may take beside the blobs, about."""
THREADS = 2
"""Budgets are for two threads whatever their number: results are the same with any."""
WORTH = 1 << 15
"""Fewer free bytes are not lent."""


def spare(memory: Memory) -> int:
    """How many bytes of scratch each thread may use however little is free. All that is no
    parameter should not take more than one and a half times what the blobs share."""
    apart = memory.shared // 2 - memory.apart - OTHERS
    return max(LEAST, apart // THREADS)


def budget(steps: Sequence[Any], session: NumpySession) -> int:
    """How many bytes of scratch each thread may use while these steps run."""
    free = session.memory.room(s.node.index for s in steps).nbytes
    return max(session.spare, free // THREADS)


def with_room(bound: Bound, steps: Sequence[Any], session: NumpySession) -> Bound:
    """What runs these steps with their scratch in the buffer, if there is room."""
    if not session.memory.slot or not all(isinstance(s, Forward) for s in steps):
        return bound
    room = session.memory.room(s.node.index for s in steps)
    return bound if room.nbytes < WORTH else Lending(bound, room)


class Lending:
    """A step with scratch in `room`, a piece for each thread."""

    def __init__(self, bound: Bound, room: Array) -> None:
        self.bound, self.room, self.count = bound, room, 0

    def __call__(self) -> None:
        if self.count != parallel.threads():
            self._cut(parallel.threads())
        with parallel.Lent(self.pieces):
            self.bound()

    def _cut(self, count: int) -> None:
        """A piece for each thread."""
        first = -self.room.ctypes.data % ALIGN
        step = (self.room.nbytes - first) // count // ALIGN * ALIGN
        starts = [first + i * step for i in range(count)]
        self.pieces = [self.room[start : start + step] for start in starts]
        self.count = count
