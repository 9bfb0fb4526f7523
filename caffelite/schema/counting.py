"""The fields of a message, counted before it is read.

A few bytes of the wire format become an object of hundreds: 9 MB of empty layers would be a
gigabyte. So what would become a Python object is counted first, where a file is large enough to
hold too many. Floats are not counted, which stay as they are.
"""

from __future__ import annotations

import numpy as np

from caffelite.errors import SnapshotError
from caffelite.filetypes import varint
from caffelite.reading import check_limit, limit
from caffelite.schema.message import FieldSpec, Message

_SHORTEST = 2
"""Bytes of a field: its number and its size or value."""
_FIXED = {1: 8, 5: 4}


def check_fields(data: bytes, cls: type[Message], name: str) -> None:
    """Refuse bytes that hold more fields than `caffelite.reading` allows. Broken ones are left to
    the reader."""
    most = limit("fields")
    if len(data) < _SHORTEST * most:
        return
    count = 0
    todo = [(0, len(data), _by_number(cls))]
    while todo:
        at, end, specs = todo.pop()
        while at < end and count <= most:
            count += 1
            tag = data[at]
            if tag < 0x80:
                at += 1
            else:
                tag, at = varint(data, at)
            kind = tag & 7
            if kind == 2:
                size, at = varint(data, at)
                spec = specs.get(tag >> 3)
                if spec is not None and spec.message_type is not None:
                    if size and at + size <= end:
                        todo.append((at, at + size, _by_number(spec.message_type)))
                elif spec is not None:
                    count += objects_in(spec, size)
                at += size
            elif kind == 0:
                _, at = varint(data, at)
            elif kind in _FIXED:
                at = _skip_alike(data, at, end, tag, _FIXED[kind])
            elif kind not in (3, 4):
                break
        check_limit("fields", count, f"{name}: it", SnapshotError)


def _by_number(cls: type[Message]) -> dict[int, FieldSpec]:
    return {spec.number: spec for spec in cls.specs.values()}


def objects_in(spec: FieldSpec, size: int) -> int:
    """How many Python objects so many bytes of a field may become."""
    if not spec.repeated or (spec.packed and spec.type in ("float", "double")):
        return 0
    if spec.type in ("string", "bytes"):
        return 0
    return size // {"float": 4, "double": 8}.get(str(spec.type), 1)


def _skip_alike(data: bytes, at: int, end: int, tag: int, size: int) -> int:
    """Behind a value of fixed size at `at`, and all others of its field that follow it."""
    at += size
    if tag > 127 or end - at < 1024:
        return at
    tags = np.frombuffer(data, np.uint8, end - at, at)[:: size + 1]
    others = np.flatnonzero(tags[:4096] != tag)
    if not len(others):
        others = np.flatnonzero(tags != tag)
    return min(end, at + (size + 1) * int(others[0] if len(others) else len(tags)))
