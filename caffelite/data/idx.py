"""IDX files, the format in which MNIST is published; compressed with gzip or not."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError
from caffelite.filetypes import GZIP, type_by_start

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_header(path: str) -> tuple[np.dtype, Shape]:
    """The type and shape of an IDX file's array. Raises DataError if it is no such file."""
    with _open(path) as file:
        return _header(file, path)


def read_idx(path: str, first: int = 0, count: int | None = None) -> Array:
    """The array of an IDX file; with `count` that many entries from `first` on."""
    with _open(path) as file:
        dtype, shape = _header(file, path)
        data = file.read()
    needed = math.prod(shape) * dtype.itemsize
    if len(data) != needed:
        word = "truncated" if len(data) < needed else "too long"
        raise DataError(
            f'"{path}" is {word}: {" x ".join(map(str, shape))} values need {needed} bytes after '
            f"the header, and there are {len(data)}"
        )
    whole = np.frombuffer(data, dtype).reshape(shape)
    return whole if count is None else whole[first : first + count]


@contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    try:
        with open(path, "rb") as file:
            zipped = type_by_start(file.read(20)) is GZIP
            file.seek(0)
            yield gzip.GzipFile(fileobj=file) if zipped else file  # type: ignore[misc]
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f'"{path}" cannot be read, or is damaged: {error}') from None


def _header(file: IO[bytes], path: str) -> tuple[np.dtype, Shape]:
    magic = file.read(4)
    code, axes = (magic[2], magic[3]) if len(magic) == 4 else (0, 0)
    extents = file.read(4 * axes)
    if magic[:2] != b"\0\0" or code not in _TYPES or not axes or len(extents) < 4 * axes:
        raise DataError(
            f'"{path}" is not an IDX file: it begins with {magic.hex(" ") or "nothing"}, where '
            "00 00, a type and a number of axes were expected"
        )
    return np.dtype(_TYPES[code]), tuple(int(n) for n in np.frombuffer(extents, ">u4"))
