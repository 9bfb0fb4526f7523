"""Messages ↔ protobuf's wire format: .caffemodel, .solverstate and .binaryproto files.

The protobuf library gets descriptors that are built from our declarations when first needed, so
there is no generated code and no version to mismatch. Four things differ from what `protoc`
would declare; the bytes are the same:

- packed floats are declared as bytes, which look alike on the wire, and become arrays without
  passing through Python lists;
- enums are declared as int32, and a number that the enum does not know reads as not set, as in
  proto2;
- strings are declared as bytes, so that a name that is not UTF-8 does not make a file unreadable.
- messages that come late (`late.py`) are declared as bytes, and read and written by themselves: of
  all layers' messages only those of a file are declared to protobuf.

Of a large message protobuf reads only the outline, see `outline.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from caffelite.errors import Problem, SnapshotError
from caffelite.filetypes import EMPTY, PROTOBUF, TEXT, type_of, varint
from caffelite.reading import size_of
from caffelite.schema.counting import check_fields
from caffelite.schema.late import Late
from caffelite.schema.message import FieldSpec, Message
from caffelite.schema.outline import (
    FLOATS,
    Take,
    is_array,
    no_whole_number,
    outline,
    outline_of,
    placed,
)
from caffelite.schema.stored import StoredArray

if TYPE_CHECKING:
    from google.protobuf.message import Message as Proto

M = TypeVar("M", bound=Message)

MAX_BYTES = 2**31 - 1
"""Protobuf reads and writes no message that is larger."""
MANY = 64
"""More repeated floats than this are kept as an array, also where they are not packed."""
LARGE = 1 << 16
"""Of messages of more bytes the outline is read."""


def encode(message: Message) -> bytes:
    """The message in wire format. Raises SnapshotError if it would be over 2 GB."""
    if size_of_arrays(message) > MAX_BYTES:
        raise too_large()
    proto = _codec(type(message), True).new(type(message))
    _fill(proto, message)
    from google.protobuf.message import EncodeError

    try:
        data = bytes(proto.SerializeToString(deterministic=True))
    except EncodeError:
        raise too_large() from None
    if len(data) > MAX_BYTES:
        raise too_large()
    return data


def decode(data: bytes, cls: type[M], name: str = "", what: str = "") -> M:
    """The message in the bytes; fields that `cls` does not declare are passed over.

    Raises SnapshotError if the bytes are not such a message; `name` says in it where they are
    from, and `what` what they should have been.
    """
    from google.protobuf.message import DecodeError

    name, what = name or "the data", what or f"a {cls.__name__}"
    if len(data) > MAX_BYTES:
        raise too_large(name)
    outlined = outline_of(data, cls, name) if len(data) > LARGE else None
    if outlined is not None:
        views = partial(_view, data)
        if (message := _read_outline(outlined, cls, views)) is not None:
            return message
    check_fields(data, cls, name)
    for packed in (True, False):
        codec = _codec(cls, packed)
        proto = codec.new(cls)
        try:
            proto.ParseFromString(data)
            message = codec.message(proto, cls)
        except DecodeError:
            reason = _why_broken(data)
            raise SnapshotError(Problem(f"{name}: not {what} in binary form: {reason}")) from None
        except _Unpacked:
            continue
        if data and not message._values:
            reason = foreign(data) or "it holds no field of such a message"
            raise SnapshotError(f"{name}: not {what} in binary form: {reason}")
        return message
    raise AssertionError


def decode_file(file: BinaryIO, cls: type[M], name: str, what: str = "") -> M:
    """As `decode`, of an open file. Its arrays are `StoredArray`s, which read from the file when
    their values are needed: until then it must stay open."""
    size = size_of(file)
    if size > MAX_BYTES:
        raise too_large(name)
    outlined = outline(file, size, cls, name)
    if outlined is not None:
        stored = partial(_stored, file)
        if (message := _read_outline(outlined, cls, stored)) is not None:
            return message
    file.seek(0)
    return decode(file.read(MAX_BYTES + 1), cls, name, what)


def _read_outline(outlined: bytes, cls: type[M], take: Take) -> M | None:
    """The message of an outline; None if there is something wrong with it, which those who read
    all of the bytes can name."""
    from google.protobuf.message import DecodeError

    codec = _codec(cls, True)
    proto = codec.new(cls)
    try:
        proto.ParseFromString(outlined)
        message = codec.message(proto, cls, partial(placed, take=take))
    except DecodeError:
        return None
    return message if message._values else None


def _view(data: bytes, start: int, count: int, dtype: np.dtype) -> np.ndarray:
    array: np.ndarray = np.frombuffer(data, dtype, count, start)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _stored(file: BinaryIO, start: int, count: int, dtype: np.dtype) -> StoredArray:
    return StoredArray(file, start, (count,), dtype)


# Messages to protobuf.


def _fill(proto: Any, message: Message) -> None:
    for spec, value in message.set_fields():
        if spec.message_type is not None:
            if isinstance(spec, Late):
                inner = _codec(spec.message_type, True).new(spec.message_type)
                _fill(inner, value)
                getattr(proto, spec.name).append(inner.SerializeToString(deterministic=True))
                continue
            if not spec.repeated:
                part = getattr(proto, spec.name)
                part.SetInParent()
                _fill(part, value)
                continue
            for item in value:
                _fill(getattr(proto, spec.name).add(), item)
        elif is_array(spec):
            array = np.ascontiguousarray(value, FLOATS[spec.type])
            getattr(proto, spec.name).append(array.tobytes())
        elif spec.repeated:
            getattr(proto, spec.name).extend(_to_wire(v) for v in value)
        else:
            setattr(proto, spec.name, _to_wire(value))


def _to_wire(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, np.generic):
        return value.item()
    return value


def size_of_arrays(message: Message) -> int:
    """The bytes of all arrays in a message."""
    size = 0
    for spec, value in message.set_fields():
        if is_array(spec):
            size += len(value) * FLOATS[spec.type].itemsize
        elif spec.message_type is not None:
            size += sum(map(size_of_arrays, value if spec.repeated else [value]))
    return size


def too_large(name: str = "") -> SnapshotError:
    """The error for a message, from the file `name`, that is over the limit."""
    where = f"{name}: " if name else ""
    return SnapshotError(
        Problem(
            f"{where}over 2 GB, which is more than a binary protobuf file can be",
            hint="use HDF5: a name that ends in .h5, snapshot_format: HDF5 in a solver",
        )
    )


# Protobuf to messages.


class _Unpacked(Exception):
    """Floats that are declared as packed came one by one, as old writers do."""


Arrays = Callable[[FieldSpec, list[bytes]], Any]
"""The array of a field of an outline."""


class _Codec:
    """Protobuf's classes for a message and all that it holds."""

    def __init__(self, root: type[Message], packed: bool) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        self.packed = packed
        self.seen = {cls: dict(cls.specs) for cls in _reachable(root)}
        names = {cls: f"{cls.__name__}_{i}" for i, cls in enumerate(self.seen)}
        file = descriptor_pb2.FileDescriptorProto(name="caffelite.proto", syntax="proto2")
        kinds = descriptor_pb2.FieldDescriptorProto
        for cls, specs in self.seen.items():
            described = file.message_type.add(name=names[cls])
            for spec in specs.values():
                field = described.field.add(name=spec.name, number=spec.number)
                many = spec.repeated or isinstance(spec, Late)
                field.label = kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL
                if isinstance(spec, Late):
                    field.type = kinds.TYPE_BYTES
                elif spec.message_type is not None:
                    field.type, field.type_name = kinds.TYPE_MESSAGE, names[spec.message_type]
                elif spec.enum_type is not None:
                    field.type = kinds.TYPE_INT32
                elif spec.type in ("string", "bytes") or (packed and is_array(spec)):
                    field.type = kinds.TYPE_BYTES
                else:
                    field.type = getattr(kinds, f"TYPE_{str(spec.type).upper()}")
                    field.options.packed = spec.packed
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self.classes = {
            cls: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
            for cls, name in names.items()
        }

    def new(self, cls: type[Message]) -> Proto:
        return self.classes[cls]()

    def stands(self) -> bool:
        """Are the declarations those that this was built from? Layers add fields."""
        return all(cls.specs == specs for cls, specs in self.seen.items())

    def message(self, proto: Any, cls: type[M], arrays: Arrays | None = None) -> M:
        """The message of what protobuf read. `arrays` gives those of an outline."""
        message = cls()
        message._explicit = True
        for described, value in proto.ListFields():
            spec = cls.specs[described.name]
            value = self.value(spec, value, arrays)
            if value is not None:
                message._values[spec.name] = value
        if self.packed and arrays is None:
            _refuse_unpacked(proto, cls)
        return message

    def value(self, spec: FieldSpec, value: Any, arrays: Arrays | None) -> Any:
        """A field's value, or None for one that reads as not set."""
        cls = spec.message_type
        if cls is not None:
            if isinstance(spec, Late):
                inner = _codec(cls, self.packed)
                proto = inner.new(cls)
                proto.ParseFromString(b"".join(value))  # of one that is there twice the parts join
                return inner.message(proto, cls, arrays)
            if not spec.repeated:
                return self.message(value, cls, arrays)
            return [self.message(item, cls, arrays) for item in value]
        if arrays is not None and is_array(spec):
            return arrays(spec, value)
        if spec.type in FLOATS and spec.repeated:
            return _floats(spec, value)
        if spec.repeated:
            found = [_from_wire(spec, v) for v in value]
            return [v for v in found if v is not None]
        return _from_wire(spec, value)


_codecs: dict[tuple[type[Message], bool], _Codec] = {}


def _codec(cls: type[Message], packed: bool) -> _Codec:
    codec = _codecs.get((cls, packed))
    if codec is None or not codec.stands():
        codec = _codecs[cls, packed] = _Codec(cls, packed)
    return codec


def _reachable(root: type[Message]) -> Iterator[type[Message]]:
    found, todo = {root}, [root]
    while todo:
        cls = todo.pop()
        yield cls
        for spec in cls.specs.values():
            inner = None if isinstance(spec, Late) else spec.message_type
            if inner is not None and inner not in found:
                found.add(inner)
                todo.append(inner)


def _floats(spec: FieldSpec, value: Any) -> Any:
    dtype = FLOATS[spec.type]
    if not len(value):
        return None
    if isinstance(value[0], bytes):
        data = value[0] if len(value) == 1 else b"".join(value)
        if len(data) % dtype.itemsize:
            raise no_whole_number(spec, len(data))
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    if spec.packed or len(value) > MANY:
        return np.array(value, dtype.newbyteorder("="))
    return [_from_wire(spec, v) for v in value]


def _from_wire(spec: FieldSpec, value: Any) -> Any:
    if spec.type == "float":
        # The shortest decimal that is the same float32: 0.1, not 0.10000000149011612.
        return float(str(np.float32(value)))
    if spec.type == "string":
        return value.decode("utf-8", "backslashreplace")
    if spec.enum_type is not None:
        return spec.enum_type._value2member_map_.get(value)
    return value


def _refuse_unpacked(proto: Any, cls: type[Message]) -> None:
    numbers = {spec.number for spec in cls.specs.values() if is_array(spec)}
    if numbers:
        from google.protobuf.unknown_fields import UnknownFieldSet

        unknown = UnknownFieldSet(proto)
        if any(unknown[i].field_number in numbers for i in range(len(unknown))):
            raise _Unpacked


# What is wrong with bytes that protobuf refuses.


def foreign(data: bytes) -> str | None:
    """What the bytes are, if they are something well known other than a binary message."""
    kind = type_of(data)
    if kind in (None, PROTOBUF, EMPTY):
        return None
    if kind is TEXT:
        return "this is text, not a binary file"
    return f"this is {kind.name}" + (f"; {kind.hint}" if kind.hint else "")


def _why_broken(data: bytes) -> str:
    if what := foreign(data):
        return what
    at = 0
    while at < len(data):
        start = at
        tag, at = varint(data, at)
        kind = tag & 7
        if kind in (6, 7) or tag >> 3 == 0:
            return f"byte {start} begins no field; is this a file of another kind?"
        if kind == 0:
            _, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        if at > len(data):
            return (
                f"it ends in the middle of a field: {len(data)} bytes, at least {at} expected; "
                "was the copy or download cut short?"
            )
    return "its fields are not those of this message, or are damaged"
