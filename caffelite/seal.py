"""The seal at the end of our files of parameters and states: the SHA-256 of all bytes before it.

A bit that flips on a disk or in a copy changes weights without a sign. So our .caffemodel and
.solverstate end in 36 bytes: four that mark them, and the digest. To protobuf they are the field
15001, of 32 bytes, which no version of Caffe declares and all pass over; in an HDF5 file they lie
behind its end, where HDF5 does not look. A file without a seal, such as one that Caffe wrote, is
read as it is; so is one that HDF5's library has changed, since that cuts the seal off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from caffelite.errors import Problem, SnapshotError
from caffelite.reading import plain_file, size_of

FIELD = 15001
"""The seal's field number in NetParameter and SolverState."""
MARK = bytes([0xCA, 0xA9, 0x07, 32])
"""FIELD's tag in protobuf's wire format (length-delimited), and the length."""
SIZE = len(MARK) + 32
_CHUNK = 1 << 20


def sealed(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The parts of a file, and its seal behind them."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part)
        yield part
    yield MARK + hashed.digest()


def seal_file(path: Path) -> None:
    """Put a seal at the end of a file that has none."""
    with open(path, "r+b") as file:
        digest = _hash(file, size_of(file))
        file.seek(0, 2)
        file.write(MARK + digest)


def sealed_with(path: str) -> str:
    """The digest that a file ends with, in hexadecimal; empty if it has no seal."""
    with plain_file(path, error=SnapshotError) as file:
        return _seal_of(file).hex()


def content_digest(path: str) -> str:
    """The SHA-256 of a file, its seal apart, in hexadecimal."""
    with plain_file(path, error=SnapshotError) as file:
        size = size_of(file) - (SIZE if _seal_of(file) else 0)
        return _hash(file, size).hex()


def verify_file(path: str, required: bool = False) -> None:
    """Refuse a file whose seal is not that of its content, or is missing where it is `required`.
    Raises SnapshotError."""
    with plain_file(path, error=SnapshotError) as file:
        verify_open(file, path, required)


def verify_open(file: BinaryIO, path: str, required: bool = False) -> None:
    """As `verify_file`, of a file that is open. Where in it is read next is left open."""
    expected = _seal_of(file)
    if expected != _hash(file, size_of(file) - SIZE) if expected else required:
        raise changed(path)


def changed(path: str) -> SnapshotError:
    """The error for a file that is not as it was written."""
    return SnapshotError(
        Problem(
            f"{path}: it is not as it was written: its content does not match the SHA-256 at its "
            "end",
            expected="the file as caffelite wrote it; a bit has flipped, a copy was cut or mixed "
            "up, or another program has changed it",
            hint="if it was changed on purpose: --unverified, in Python verify=False",
        )
    )


def _seal_of(file: BinaryIO) -> bytes:
    size = size_of(file)
    if size < SIZE:
        return b""
    file.seek(size - SIZE)
    end = file.read(SIZE)
    return end[len(MARK) :] if end.startswith(MARK) else b""


def _hash(file: BinaryIO, size: int) -> bytes:
    file.seek(0)
    hashed, part = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    while size > 0 and (count := cast(Any, file).readinto(part[: min(size, _CHUNK)])):
        hashed.update(part[:count])
        size -= count
    return hashed.digest()
