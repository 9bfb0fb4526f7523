"""Datum records: the images and labels of an LMDB database."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.images import read_image
from caffelite.data.lmdbs import Database, record_name
from caffelite.data.transform import Transformer, check_shape
from caffelite.errors import DataError, Problem
from caffelite.schema.annotated import AnnotatedDatum
from caffelite.schema.binary import decode
from caffelite.schema.datum import Datum


def pixels(datum: Datum, record: str, color: bool | None = None) -> Array:
    """A Datum's image (C, H, W); `color` says how to decode a compressed one."""
    if datum.encoded:
        return read_image(bytes(datum.data), color, name=record)
    shape = (datum.channels, datum.height, datum.width)
    values = np.frombuffer(datum.data, np.uint8) if datum.data else np.asarray(datum.float_data)
    if min(shape) < 1 or values.size != math.prod(shape):
        raise DataError(
            f"{record} says it is {' x '.join(map(str, shape))}, but holds {values.size} values"
        )
    return values.reshape(shape)


def read_datum(database: Database, key: bytes, value: bytes) -> tuple[Datum, str]:
    """A record, and what errors call it."""
    record = record_name(database, key)
    datum = decode(value, Datum, record)
    if _inner(datum, value, record) is not None:
        raise DataError(
            Problem(
                f"{record} holds an image and its boxes",
                hint='a layer of type "AnnotatedData" reads such records',
            )
        )
    return datum, record


def read_image_datum(database: Database, key: bytes, value: bytes) -> tuple[Datum, str]:
    """As `read_datum`; of an image with boxes the image."""
    record = record_name(database, key)
    datum = decode(value, Datum, record)
    return _inner(datum, value, record) or datum, record


def _inner(datum: Datum, value: bytes, record: str) -> Datum | None:
    """The image of an annotated record, which reads as an empty Datum; None: it is none."""
    if datum.has("channels") or datum.has("data") or datum.has("label"):
        return None
    annotated = decode(value, AnnotatedDatum, record)
    return annotated.datum if annotated.has("datum") else None


def first_shape(database: Database, color: bool | None) -> Shape:
    """The shape (C, H, W) of the first record."""
    ((first,), _) = database.take(None, 1)
    return pixels(*read_datum(database, *first), color).shape


class DatumFeed:
    """The records of a database in the order of their keys, from the first again at the end.

    `shape` is that of the first record, which the others must have. The database is closed when
    the feed is no longer used."""

    def __init__(
        self,
        database: Database,
        transformer: Transformer,
        shape: Shape,
        color: bool | None,
        skip: int = 0,
    ) -> None:
        self.database, self.transformer, self.color = database, transformer, color
        self._shape, self._skip = shape, skip % database.count
        self._next: bytes | None = None
        weakref.finalize(self, database.close)

    def fill(self, out: Sequence[Array]) -> None:
        records, following = self.database.take(self._next, len(out[0]), self._skip)
        for row, (key, value) in enumerate(records):
            datum, record = read_datum(self.database, key, value)
            image = pixels(datum, record, self.color)
            if image.shape != self._shape:
                if not self.transformer.fixes_size or len(image) != self._shape[0]:
                    check_shape(image.shape, self._shape, record)
                self.transformer.shape(image.shape, record)
            self.transformer(image, out[0][row])
            if len(out) > 1:
                out[1][row] = datum.label
        self._next = following

    def state(self) -> dict[str, Any]:
        state = {"transform": self.transformer.state()}
        return state if self._next is None else {**state, "next": self._next.hex()}

    def restore(self, state: dict[str, Any]) -> None:
        following = bytes.fromhex(state["next"]) if "next" in state else None
        if following is not None and not self.database.has(following):
            raise DataError(
                f'"{self.database.path}" has no record "{following!r}", where the snapshot says '
                "to go on"
            )
        self._next = following
        self.transformer.restore(state["transform"])
