"""StoredArray: an array in a file, which is read where it is needed.

Parameters go from the file straight into a net's memory: the whole file is nowhere else.
"""

from __future__ import annotations

import math
from typing import Any, BinaryIO, cast

import numpy as np

from caffelite.errors import SnapshotError

_CHUNK, _SMALL_CHUNK = 1 << 20, 1 << 16
"""Values that are read at a time where they need another type."""


class StoredArray:
    """Where an array lies in an open file: its first byte, its type and shape. NumPy's functions
    take it as an array; `read_into` reads it into memory that is there."""

    def __init__(self, file: BinaryIO, start: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._file, self._start = file, start
        self.shape, self.dtype = shape, dtype
        self.size = math.prod(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, shape: tuple[int, ...]) -> StoredArray:
        """The same values in another shape."""
        if math.prod(shape) != self.size:
            raise ValueError(f"{self.size} values are not {shape}")
        return StoredArray(self._file, self._start, shape, self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.empty(self.shape, self.dtype)
        self.read_into(array)
        return array.astype(dtype or self.dtype.newbyteorder("="), copy=False)

    def read_into(self, out: np.ndarray) -> None:
        """Read the values into an array of this shape, of any type. Raises SnapshotError, and
        leaves the array half written, if they are not there any more."""
        self._file.seek(self._start)
        if out.dtype == self.dtype and out.flags.c_contiguous:
            self._fill(out)
            return
        flat = out.reshape(-1) if out.flags.c_contiguous else np.empty(self.size, self.dtype)
        part = np.empty(min(_CHUNK, self.size), self.dtype)
        for first in range(0, self.size, _CHUNK):
            values = part[: min(_CHUNK, self.size - first)]
            self._fill(values)
            flat[first : first + len(values)] = values
        if not out.flags.c_contiguous:
            out[...] = flat.reshape(out.shape)

    def check(self) -> None:
        """Read all values, and keep none. Raises what `read_into` would."""
        self._file.seek(self._start)
        part = np.empty(min(_SMALL_CHUNK, self.size), self.dtype)
        for first in range(0, self.size, _SMALL_CHUNK):
            self._fill(part[: min(_SMALL_CHUNK, self.size - first)])

    def _fill(self, array: np.ndarray) -> None:
        rest = memoryview(cast(Any, array.reshape(-1).view(np.uint8)))
        while rest:
            count = cast(Any, self._file).readinto(rest)
            if not count:
                raise SnapshotError(f"{self._file.name}: it has become shorter while it was read")
            rest = rest[count:]
