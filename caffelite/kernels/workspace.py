"""Scratch memory that is taken once and used again by every call."""

from __future__ import annotations

import math
import mmap
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from caffelite.kernels.tuned import Tuned

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])


Lent = tuple[NDArray[np.uint8], int]
ALIGN = 64
"""Arrays start at multiples of so many bytes, as vector units like it."""


RESERVED: Tuned = 64 << 20
"""Bytes of the buffer, at first: of address space, since what is never written takes no memory."""


class Workspace:
    """Scratch memory for all kernels of a thread, one after the other: a stack.

    Within a `frame` arrays lie one behind the other in one buffer, which is free again at the
    frame's end; so the buffer is as large as what the most demanding kernel needs, not as all of
    them together. Outside of frames each name has a buffer of its own, that grows to the largest
    request. Either way an array's content lives until the next request for its name in the same
    frame. Memory may be lent to it: frames lie there first, as far as there is room."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}  # outside of frames
        self._stack = _NOTHING
        self._top = self._most = 0
        self._named = self._buffers  # of the innermost frame
        self._frames: list[tuple[int, Lent, dict[str, NDArray[np.uint8]]]] = []
        self.lent = _NOTHING, 0
        """Memory that is lent to it, and how much of it is in use."""

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """An uninitialised C-contiguous array of this shape, called `name`."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        buffer = self._named.get(name)
        if buffer is None or buffer.size < size:
            # The old buffer goes first, so that growing never holds both.
            self._named.pop(name, None)
            del buffer
            buffer = self._named[name] = self._take(size)
        return buffer[:size].view(kind).reshape(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        if not self._frames:
            return np.empty(size, np.uint8)
        room, (memory, start) = -(-size // ALIGN) * ALIGN, self.lent
        if start + room <= memory.size:
            self.lent = memory, start + room
            return memory[start : start + size]
        start = self._top
        if not start and room > self._stack.size:
            self._stack = _NOTHING
            self._stack = _pages(max(room, RESERVED))
        self._top += room
        self._most = max(self._most, self._top)
        if self._top <= self._stack.size:
            return self._stack[start : start + size]
        return _pages(size)  # the buffer grows when it is free

    def __enter__(self) -> Workspace:
        """A frame begins."""
        self._frames.append((self._top, self.lent, self._named))
        self._named = {}
        return self

    def __exit__(self, *failure: object) -> None:
        self._top, self.lent, self._named = self._frames.pop()
        if not self._frames and self._most > self._stack.size:
            self._stack = _NOTHING  # the old buffer goes first
            self._stack = _pages(max(self._most, RESERVED))

    @property
    def nbytes(self) -> int:
        """Bytes held by all buffers together."""
        return self._most + sum(buffer.size for buffer in self._buffers.values())


class Borrowed:
    """A frame of a workspace, with this memory lent to it meanwhile."""

    __slots__ = ("memory", "workspace")

    def __init__(self, workspace: Workspace, memory: NDArray[np.uint8]) -> None:
        self.workspace, self.memory = workspace, memory

    def __enter__(self) -> None:
        self.workspace.__enter__()
        self.workspace.lent = self.memory, 0

    def __exit__(self, *failure: object) -> None:
        self.workspace.__exit__()


def _pages(size: int) -> NDArray[np.uint8]:
    """Memory straight from the system: what is given back is free at once for others, and what is
    never written takes none."""
    if not size:
        return np.empty(0, np.uint8)
    private = getattr(mmap, "MAP_PRIVATE", None)  # else a child after a fork would write in it too
    if private is None:
        return np.frombuffer(mmap.mmap(-1, size), np.uint8)
    return np.frombuffer(mmap.mmap(-1, size, private | mmap.MAP_ANONYMOUS), np.uint8)


_NOTHING = _pages(0)


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.workspace = Workspace()


_per_thread = _PerThread()


def shared_workspace() -> Workspace:
    """The calling thread's own workspace: kernels use it when they are given none."""
    return _per_thread.workspace


def in_frame(kernel: F) -> F:
    """A kernel whose scratch is free again when it returns."""

    @wraps(kernel)
    def framed(*args: Any, **settings: Any) -> Any:
        with _per_thread.workspace:
            return kernel(*args, **settings)

    return cast(F, framed)


def rectify(x: Array, workspace: Workspace, out: Array | None = None) -> None:
    """Write max(x, 0), over x or to `out`. NumPy compares with an array several times as fast as
    with a number; a row of zeros will do."""
    zeros = workspace.array("zeros", x.shape[-1:], x.dtype)
    zeros.fill(0)
    np.maximum(x, zeros, out=x if out is None else out)
