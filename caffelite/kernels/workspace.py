"""Scratch memory that is allocated once and used again by every call."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]


class Workspace:
    """Named scratch buffers that grow to the largest request and then stay.

    A buffer's content lives only until the next request for the same name, so one workspace can
    serve all layers of a net, one after the other.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """An uninitialised C-contiguous array of this shape in the buffer called `name`."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            # The old buffer goes first, so that growing never holds both.
            self._buffers.pop(name, None)
            buffer = self._buffers[name] = np.empty(size, np.uint8)
        return buffer[:size].view(kind).reshape(shape)

    @property
    def nbytes(self) -> int:
        """Bytes held by all buffers together."""
        return sum(buffer.size for buffer in self._buffers.values())


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.workspace = Workspace()


_per_thread = _PerThread()


def shared_workspace() -> Workspace:
    """The calling thread's own workspace: kernels use it when they are given none."""
    return _per_thread.workspace


def rectify(x: Array, workspace: Workspace, out: Array | None = None) -> None:
    """Write max(x, 0), over x or to `out`. NumPy compares with an array several times as fast as
    with a number; a row of zeros will do."""
    zeros = workspace.array("zeros", x.shape[-1:], x.dtype)
    zeros.fill(0)
    np.maximum(x, zeros, out=x if out is None else out)
