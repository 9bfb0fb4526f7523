"""Outlines: a binary message without its arrays.

A file of parameters is a few kilobytes of names and shapes, and long arrays of floats. Protobuf
copies those twice while it reads them. So `outline` goes through the bytes first, without looking
into the arrays, and makes a message of the same kind in which each array is its place: where its
bytes begin, and how many there are. Protobuf reads that, and the arrays stay where they are.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from caffelite.errors import SnapshotError
from caffelite.reading import check_limit, limit
from caffelite.schema.counting import objects_in
from caffelite.schema.late import Late
from caffelite.schema.message import FieldSpec, Message

FLOATS: dict[Any, np.dtype] = {"float": np.dtype("<f4"), "double": np.dtype("<f8")}
_PLACE = struct.Struct("<QQ")
_DEEPEST = 60
_MOST_FIELDS = 500_000
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_FIXED = {_EIGHT: 8, _FOUR: 4}

Take = Callable[[int, int, np.dtype], Any]
"""The array at a place: of this many values, of this type."""


def is_array(spec: FieldSpec) -> bool:
    """Is it a field of packed floats?"""
    return spec.packed and spec.type in FLOATS


def outline(file: BinaryIO, size: int, cls: type[Message], name: str = "the data") -> bytes | None:
    """The outline of a message that is all of a file of `size` bytes. Fields that are not declared
    are left out. Raises SnapshotError, which calls the file `name`, if there are more fields than
    `caffelite.reading` allows.

    None where the bytes must be read as a whole: they are damaged, there are too many fields to go
    through here, such a message has no arrays, or old writers stored their values one by one."""
    if not _has_arrays(cls, set()):
        return None
    file.seek(0)
    try:
        return bytes(_Walk(file, name).message(cls, size, 0))
    except _Irregular:
        return None


def outline_of(data: bytes, cls: type[Message], name: str = "the data") -> bytes | None:
    """The outline of a message in memory."""
    return outline(io.BytesIO(data), len(data), cls, name)


def placed(spec: FieldSpec, found: list[bytes], take: Take) -> Any:
    """The array of a field of an outline, or None where there are no values. `take` reads them."""
    dtype = FLOATS[spec.type]
    parts = []
    for start, size in map(_PLACE.unpack, found):
        if size % dtype.itemsize:
            raise no_whole_number(spec, size)
        if size:
            parts.append(take(start, size // dtype.itemsize, dtype))
    if len(parts) > 1:
        return np.concatenate([np.asarray(part) for part in parts])
    return parts[0] if parts else None


def no_whole_number(spec: FieldSpec, size: int) -> SnapshotError:
    """The error for an array that ends within a value."""
    return SnapshotError(
        f"{spec.name} holds {size} bytes, which is no whole number of {spec.type}s"
    )


def _has_arrays(cls: type[Message], seen: set[type[Message]]) -> bool:
    seen.add(cls)
    own = [spec for spec in cls.specs.values() if not isinstance(spec, Late)]  # these hold none
    return any(map(is_array, own)) or any(
        _has_arrays(message, seen)
        for spec in own
        if (message := spec.message_type) is not None and message not in seen
    )


class _Irregular(Exception):
    """There is no outline of this."""


class _Walk:
    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._count, self._most = 0, limit("fields")
        self._at = 0
        self._left = _MOST_FIELDS
        self._specs: dict[type[Message], dict[int, FieldSpec]] = {}

    def message(self, cls: type[Message], end: int, depth: int) -> bytearray:
        """The outline of a message that goes from here to `end`."""
        if depth > _DEEPEST:
            raise _Irregular
        specs = self._specs.get(cls)
        if specs is None:
            specs = self._specs[cls] = {spec.number: spec for spec in cls.specs.values()}
        out = bytearray()
        while self._at < end:
            self._counted(1)
            tag, number = self._varint()
            kind, spec = number & 7, specs.get(number >> 3)
            self._left -= 1
            if not number >> 3 or not self._left:
                raise _Irregular
            if kind == _BYTES:
                self._length_delimited(tag, spec, end, depth, out)
                continue
            if spec is not None and is_array(spec):
                raise _Irregular
            value = self._varint()[0] if kind == _VARINT else self._read(_FIXED.get(kind, -1))
            if spec is not None:
                out += tag + value
        if self._at != end:
            raise _Irregular
        return out

    def _length_delimited(
        self, tag: bytes, spec: FieldSpec | None, end: int, depth: int, out: bytearray
    ) -> None:
        size_bytes, size = self._varint()
        start, stop = self._at, self._at + size
        if stop > end:
            raise _Irregular
        if spec is not None and spec.message_type is not None:
            inner = self.message(spec.message_type, stop, depth + 1)
            out += tag + varint_bytes(len(inner)) + inner
        elif spec is None or is_array(spec):
            self._file.seek(stop)
            self._at = stop
            if spec is not None:
                out += tag + varint_bytes(_PLACE.size) + _PLACE.pack(start, size)
        else:
            self._counted(objects_in(spec, size))
            out += tag + size_bytes + self._read(size)

    def _counted(self, objects: int) -> None:
        self._count += objects
        if self._count > self._most:
            check_limit("fields", self._count, f"{self._name}: it", SnapshotError)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size) if size >= 0 else b""
        if len(data) != size:
            raise _Irregular
        self._at += size
        return data

    def _varint(self) -> tuple[bytes, int]:
        """A number in base 128, as bytes and as a number."""
        data, value = b"", 0
        for shift in range(0, 70, 7):
            byte = self._read(1)
            data += byte
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return data, value
        raise _Irregular


def varint_bytes(value: int) -> bytes:
    """A number in base 128, low digits first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
