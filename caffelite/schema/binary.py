"""Binary files: stored blobs ↔ arrays, and files that are written whole or not at all.

`encode` and `decode` (see `wire.py`) turn messages into bytes and back.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Union

import numpy as np

from caffelite.errors import SnapshotError, did_you_mean
from caffelite.schema.common import BlobProto, BlobShape
from caffelite.schema.wire import decode, encode

__all__ = [
    "array_of",
    "blob_proto",
    "decode",
    "encode",
    "read_blob",
    "read_bytes",
    "replacing",
    "write_atomically",
    "write_blob",
]

PathLike = Union[str, "os.PathLike[str]"]


def array_of(blob: BlobProto) -> np.ndarray:
    """The values of a stored blob, float32 or float64 as stored, possibly read-only.

    The shape is `shape`, or the old num, channels, height and width if any of these is set.
    Raises SnapshotError if the shape does not hold as many values as are stored.
    """
    values = blob.data if blob.has("data") else blob.double_data
    dtype = np.float32 if blob.has("data") else np.float64
    shape = _shape_of(blob)
    array = np.asarray(values, dtype)
    if any(n < 0 for n in shape) or math.prod(shape) != array.size:
        raise SnapshotError(
            f"a stored blob of shape {shape} holds {array.size} values; is the file damaged?"
        )
    return array.reshape(shape)


def _shape_of(blob: BlobProto) -> tuple[int, ...]:
    old = ("num", "channels", "height", "width")
    if any(blob.has(name) for name in old):
        return tuple(blob.get(name) for name in old)
    return tuple(blob.shape.dim)


def blob_proto(array: np.ndarray, diff: np.ndarray | None = None) -> BlobProto:
    """An array as a stored blob: float64 as doubles, everything else as floats."""
    array = np.asarray(array)
    double = array.dtype == np.float64
    dtype = np.float64 if double else np.float32
    blob = BlobProto(shape=BlobShape(dim=list(array.shape)))
    setattr(blob, "double_data" if double else "data", array.astype(dtype, copy=False).ravel())
    if diff is not None:
        diff = np.asarray(diff)
        if diff.shape != array.shape:
            raise ValueError(f"the diff is {diff.shape}, the data {array.shape}")
        setattr(blob, "double_diff" if double else "diff", diff.astype(dtype, copy=False).ravel())
    return blob


def read_blob(path: PathLike) -> np.ndarray:
    """The array in a .binaryproto file, such as a mean image."""
    name = os.fspath(path)
    return np.array(array_of(decode(read_bytes(name), BlobProto, name)))


def write_blob(path: PathLike, array: np.ndarray) -> None:
    """Write an array as a .binaryproto file."""
    write_atomically(path, encode(blob_proto(array)))


def read_bytes(path: PathLike) -> bytes:
    """All of a file. Raises SnapshotError saying why it cannot be read."""
    place = Path(path)
    try:
        return place.read_bytes()
    except FileNotFoundError:
        near = os.listdir(place.parent) if place.parent.is_dir() else []
        hint = did_you_mean(place.name, near)
        raise SnapshotError(f"{path}: no such file" + (f"; {hint}" if hint else "")) from None
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror or error}") from None


def write_atomically(path: PathLike, data: bytes | Iterable[bytes]) -> None:
    """Write a file so that it is either all there or as it was before; see `replacing`."""
    with replacing(path) as part, open(part, "xb") as file:
        for chunk in [data] if isinstance(data, (bytes, bytearray, memoryview)) else data:
            file.write(chunk)


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """The path of a temporary file in the same folder, which takes the place of `path` once the
    block is done.

    A reader sees the old file or the new one, also after a crash. Raises SnapshotError if it
    cannot be written; nothing is left behind then.
    """
    target = Path(os.path.realpath(path))  # a link stays, what it points to is replaced
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        _flush_to_disk(part)
        if target.exists():
            shutil.copymode(target, part)
        os.replace(part, target)
        if os.name == "posix":
            _flush_to_disk(target.parent)  # the new name too
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _flush_to_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
