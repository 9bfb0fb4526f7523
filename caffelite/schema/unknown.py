"""What a binary message holds beyond our declarations: fields of forks of Caffe."""

from __future__ import annotations

from collections import Counter

from caffelite.schema.message import Message


def unknown_fields(data: bytes, cls: type[Message]) -> list[str]:
    """ "LayerParameter field 200 (12 times)" for each number that is not declared.

    `data` must be a whole message (`decode` accepts it). What is in an unknown field is not
    looked at.
    """
    found: Counter[tuple[str, int]] = Counter()
    _count(memoryview(data), cls, found)
    return [
        f"{name} field {number}" + (f" ({times} times)" if times > 1 else "")
        for (name, number), times in sorted(found.items())
    ]


def _count(data: memoryview, cls: type[Message], found: Counter[tuple[str, int]]) -> None:
    by_number = {spec.number: spec for spec in cls.specs.values()}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        start, at = _value(data, at, tag & 7)
        spec = by_number.get(tag >> 3)
        if spec is None:
            found[cls.__name__, tag >> 3] += 1
        elif spec.message_type is not None and tag & 7 == 2:
            _count(data[start:at], spec.message_type, found)


def _value(data: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Where a field's bytes begin and end, by the kind of their coding."""
    if kind == 0:
        return at, _varint(data, at)[1]
    if kind == 2:
        size, at = _varint(data, at)
        return at, at + size
    if kind in (3, 4):  # the ends of a group, which Caffe's messages have none of
        return at, at
    return at, at + (8 if kind == 1 else 4)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in base 128, low digits first, and where it ends."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at
