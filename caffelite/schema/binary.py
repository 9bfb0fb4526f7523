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
from typing import Any, BinaryIO, Union

import numpy as np

from caffelite.errors import Problem, SnapshotError, did_you_mean
from caffelite.reading import MAX_AXES, plain_file, shown, size_of
from caffelite.schema.common import BlobProto, BlobShape, RawType
from caffelite.schema.stored import StoredArray
from caffelite.schema.wire import MAX_BYTES, decode, decode_file, encode, too_large

__all__ = [
    "array_of",
    "blob_proto",
    "decode",
    "decode_file",
    "encode",
    "halved",
    "open_binary",
    "read_blob",
    "read_bytes",
    "replacing",
    "stored_array_of",
    "write_atomically",
    "write_blob",
]

PathLike = Union[str, "os.PathLike[str]"]


def array_of(blob: BlobProto) -> np.ndarray:
    """The values of a stored blob, float32 or float64 as stored, possibly read-only.

    The shape is `shape`, or the old num, channels, height and width if any of these is set.
    Raises SnapshotError if the shape does not hold as many values as are stored.
    """
    return np.asarray(stored_array_of(blob))


def stored_array_of(blob: BlobProto) -> np.ndarray | StoredArray:
    """As `array_of`; values that `decode_file` left in the file stay there."""
    array: Any = blob.data if blob.has("data") else blob.double_data
    if blob.has("raw_data") and not (blob.has("data") or blob.has("double_data")):
        array = _raw_array(blob)
    elif not isinstance(array, StoredArray):
        array = np.asarray(array, np.float32 if blob.has("data") else np.float64)
    shape = _shape_of(blob)
    if len(shape) > MAX_AXES:
        raise SnapshotError(
            f"a stored blob has {len(shape)} axes; there are at most {MAX_AXES}, as in Caffe"
        )
    if any(n < 0 for n in shape) or math.prod(shape) != array.size:
        raise SnapshotError(
            f"a stored blob of shape {shape} holds {array.size} values; is the file damaged?"
        )
    reshaped: np.ndarray | StoredArray = array.reshape(shape)
    return reshaped


_RAW: dict[RawType, tuple[np.dtype, Any]] = {
    RawType.DOUBLE: (np.dtype("<f8"), np.float64),
    RawType.FLOAT: (np.dtype("<f4"), np.float32),
    RawType.FLOAT16: (np.dtype("<f2"), np.float32),
}
"""Types of values that are stored as bytes: as they are stored, and as they are used."""


def _raw_array(blob: BlobProto) -> np.ndarray:
    """The values that a blob stores as bytes."""
    if blob.raw_data_type not in _RAW:
        raise SnapshotError(
            Problem(
                f"a stored blob has values of type {blob.raw_data_type.name}",
                expected="one of " + ", ".join(kind.name for kind in _RAW),
            )
        )
    stored, used = _RAW[blob.raw_data_type]
    if len(blob.raw_data) % stored.itemsize:
        raise SnapshotError(
            f"a stored blob holds {len(blob.raw_data)} bytes, which is no whole number of "
            f"{blob.raw_data_type.name} values; is the file damaged?"
        )
    return np.frombuffer(blob.raw_data, stored).astype(used)


def halved(blob: BlobProto) -> BlobProto:
    """The blob with its values in half precision, as NVCaffe and OpenCV store them; gradients are
    left out. Raises SnapshotError for a value that half precision has no finite number for."""
    array = array_of(blob)
    with np.errstate(over="ignore"):
        half = array.astype("<f2")
    if not np.array_equal(np.isfinite(half), np.isfinite(array)):
        worst = array.reshape(-1)[np.argmax(np.abs(array))]
        raise SnapshotError(f"{worst:g} is too large for half precision (65504 is the largest)")
    return BlobProto(
        shape=BlobShape(dim=list(array.shape)),
        raw_data_type=RawType.FLOAT16,
        raw_data=half.tobytes(),
    )


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
    with open_binary(path) as file:
        if size_of(file) > MAX_BYTES:
            raise too_large(os.fspath(path))
        return file.read(MAX_BYTES)


@contextlib.contextmanager
def open_binary(path: PathLike) -> Iterator[BinaryIO]:
    """A file, open for reading. Raises SnapshotError saying why it cannot be read."""
    folder, name = os.path.split(os.fspath(path))
    if not os.path.lexists(path):
        near = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
        hint = did_you_mean(name, near)
        raise SnapshotError(f"{path}: no such file" + (f"; {hint}" if hint else ""))
    with plain_file(path, error=SnapshotError) as file:
        yield file


def write_atomically(path: PathLike, data: bytes | Iterable[bytes | memoryview]) -> None:
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
    except (OSError, RuntimeError) as error:  # HDF5's library raises either
        reason = shown(getattr(error, "strerror", None) or error)
        raise SnapshotError(f"{path}: cannot be written: {reason}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _flush_to_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
