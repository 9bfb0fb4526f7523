"""Messages of protobuf's own classes, as caffelite's.

Whoever builds a net with `caffe_pb2`, ours or one that protoc made, hands over such a message. It
is taken as its text is: with the same checks, the fields of forks that are known, and places for
errors, `<NetParameter>:12:3`.
"""

from __future__ import annotations

from typing import Any, TypeVar

from caffelite.errors import Source
from caffelite.files import modern_net, parse_message
from caffelite.schema.binary import decode
from caffelite.schema.common import BlobProto
from caffelite.schema.legacy_messages import V0LayerParameter, V1LayerParameter
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter

M = TypeVar("M", bound=Message)
_HOLD_BLOBS = tuple(c.__name__ for c in (LayerParameter, V1LayerParameter, V0LayerParameter))


def is_protobuf(source: object) -> bool:
    """Is it a message of protobuf's?"""
    return hasattr(source, "DESCRIPTOR") and hasattr(source, "SerializeToString")


def from_protobuf(source: Any, cls: type[M]) -> M:
    """The message of this class that says the same. Raises TypeError if `source` is of another
    type, SchemaError with all mistakes."""
    from google.protobuf import text_format

    found = source.DESCRIPTOR.name
    if found != cls.__name__:
        raise TypeError(f"a {cls.__name__} is needed, not a {found}")
    text = text_format.MessageToString(_without_blobs(source), as_utf8=True)
    message = parse_message(Source(f"<{found}>", text), cls)
    _give_blobs(source, message)
    return message


def net_from_protobuf(source: Any) -> NetParameter:
    """The net that a NetParameter of protobuf's says, brought up to date."""
    return modern_net(from_protobuf(source, NetParameter), "<NetParameter>")


def _without_blobs(source: Any) -> Any:
    """The message without stored parameters, which would make a very long text."""
    if not _has_blobs(source):
        return source
    copy = type(source)()
    for field, value in source.ListFields():
        if field.name == "blobs" and source.DESCRIPTOR.name in _HOLD_BLOBS:
            continue
        inner = field.type == field.TYPE_MESSAGE
        if _is_list(value):
            getattr(copy, field.name).extend(map(_without_blobs, value) if inner else value)
        elif inner:
            getattr(copy, field.name).CopyFrom(_without_blobs(value))
        else:
            setattr(copy, field.name, value)
    return copy


def _has_blobs(source: Any) -> bool:
    for field, value in source.ListFields():
        if field.name == "blobs" and source.DESCRIPTOR.name in _HOLD_BLOBS:
            return True
        if field.type == field.TYPE_MESSAGE and any(
            _has_blobs(item) for item in (value if _is_list(value) else [value])
        ):
            return True
    return False


def _give_blobs(source: Any, message: Message) -> None:
    """Give the message the stored parameters that its text was without."""
    for field, value in source.ListFields():
        if field.type != field.TYPE_MESSAGE or field.name not in message.specs:
            continue
        items = list(value) if _is_list(value) else [value]
        if field.name == "blobs" and source.DESCRIPTOR.name in _HOLD_BLOBS:
            stored = [decode(item.SerializeToString(), BlobProto) for item in items]
            setattr(message, field.name, stored)
        elif field.message_type.name in (*_HOLD_BLOBS, "NetParameter"):
            mine = message.get(field.name)
            for item, into in zip(items, mine if _is_list(value) else [mine]):
                _give_blobs(item, into)


def _is_list(value: Any) -> bool:
    return hasattr(value, "extend")
