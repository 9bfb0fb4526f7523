"""IDX files, the format in which MNIST is published; compressed with gzip or not."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import DataError
from caffelite.filetypes import GZIP, type_by_start
from caffelite.reading import MAX_AXES, check_unpacked, plain_file, reading, size_of

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_header(path: str) -> tuple[np.dtype, Shape]:
    """The type and shape of an IDX file's array. Raises DataError if it is no such file, or if
    the array would be larger than `caffelite.reading` allows."""
    with _open(path) as (file, size):
        return _header(file, size, path)


def read_idx(path: str, first: int = 0, count: int | None = None) -> Array:
    """The array of an IDX file; with `count` that many entries from `first` on."""
    with _open(path) as (file, size):
        dtype, shape = _header(file, size, path)
        whole = np.empty(shape, dtype)
        needed, found = whole.nbytes, fill(file, whole)
        if found < needed or file.read(1):
            raise DataError(
                f'"{path}" is {"truncated" if found < needed else "too long"}: '
                f"{' x '.join(map(str, shape))} values need {needed} bytes after the header, and "
                f"there are {found if found < needed else 'more'}"
            )
    return whole if count is None else whole[first : first + count]


def fill(file: BinaryIO, array: Array) -> int:
    """Read an array's bytes; how many there were. Memory is taken only for those."""
    if not array.nbytes:
        return 0
    rest = memoryview(cast(Any, array.reshape(-1).view(np.uint8)))
    done = 0
    while done < len(rest):
        part = file.read(min(1 << 20, len(rest) - done))
        if not part:
            break
        rest[done : done + len(part)] = part
        done += len(part)
    return done


@contextmanager
def _open(path: str) -> Iterator[tuple[BinaryIO, int]]:
    """The content, and the bytes in the file."""
    with plain_file(path) as file, reading(f'"{path}"', "an IDX file"):
        zipped = type_by_start(file.read(20)) is GZIP
        file.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if zipped else file, size_of(file)


def _header(file: BinaryIO, size: int, path: str) -> tuple[np.dtype, Shape]:
    magic = file.read(4)
    code, axes = (magic[2], magic[3]) if len(magic) == 4 else (0, 0)
    extents = file.read(4 * axes)
    if magic[:2] != b"\0\0" or code not in _TYPES or not axes or len(extents) < 4 * axes:
        raise DataError(
            f'"{path}" is not an IDX file: it begins with {magic.hex(" ") or "nothing"}, where '
            "00 00, a type and a number of axes were expected"
        )
    if axes > MAX_AXES:
        raise DataError(f'"{path}" says it has {axes} axes; there are at most {MAX_AXES}')
    dtype, shape = np.dtype(_TYPES[code]), tuple(int(n) for n in np.frombuffer(extents, ">u4"))
    check_unpacked(math.prod(shape) * dtype.itemsize, size, f'"{path}"')
    return dtype, shape
