"""Datum: one sample in an LMDB database."""

from __future__ import annotations

from caffelite.schema.message import Message, field, repeated


class Datum(Message):
    """An image, as pixels in `data`, as floats in `float_data` or as a compressed file, and its
    label."""

    channels: int = field(1, "int32", doc="extent of axis 0")
    height: int = field(2, "int32", doc="extent of axis 1")
    width: int = field(3, "int32", doc="extent of axis 2")
    data: bytes = field(4, "bytes", doc="pixels as bytes, or a compressed image")
    label: int = field(5, "int32", doc="the class")
    float_data: list[float] = repeated(6, "float", doc="values, where they are not bytes")
    encoded: bool = field(7, "bool", default=False, doc="data is a compressed image")
