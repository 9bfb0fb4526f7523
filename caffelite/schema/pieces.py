"""Messages in protobuf's wire format piece by piece: what is large is written as it lies in memory.

Protobuf needs all of a message at once, and a copy of each array in it: three times the parameters
of a large net. Here a message that holds large arrays is taken apart, and only its small fields go
through protobuf. The bytes, put together, are those that `encode` gives.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from caffelite.schema.late import Late
from caffelite.schema.message import FieldSpec, Message
from caffelite.schema.outline import FLOATS, is_array
from caffelite.schema.wire import LARGE, MAX_BYTES, encode, size_of_arrays, too_large

Piece = bytes | memoryview
_DELIMITED = 2  # the wire type of what a length precedes


def pieces(message: Message) -> Iterator[Piece]:
    """The message in wire format. Raises SnapshotError if it would be over 2 GB. Arrays are not
    copied: they must not change until the pieces are used."""
    found = _pieces(message)
    if _size(found) > MAX_BYTES:
        raise too_large()
    return iter(found)


def _pieces(message: Message) -> list[Piece]:
    if size_of_arrays(message) <= LARGE:
        return [encode(message)]
    found: list[Piece] = []
    for spec, value in sorted(message.set_fields(), key=lambda pair: pair[0].number):
        if is_array(spec):
            array = np.ascontiguousarray(value, FLOATS[spec.type]).reshape(-1)
            found += _framed(spec, [array.view(np.uint8).data])
        elif spec.message_type is None or isinstance(spec, Late):
            alone = type(message)()
            setattr(alone, spec.name, value)
            found.append(encode(alone))
        else:
            for item in value if spec.repeated else [value]:
                found += _framed(spec, _pieces(item))
    return found


def _framed(spec: FieldSpec, parts: list[Piece]) -> list[Piece]:
    """What holds the parts, as a value of the field: its number and their length come first."""
    return [_varint(spec.number << 3 | _DELIMITED) + _varint(_size(parts)), *parts]


def _size(parts: list[Piece]) -> int:
    return sum(len(part) for part in parts)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
