"""LMDB databases of Datum records."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.images import read_image
from caffelite.data.optional import need
from caffelite.data.transform import Transformer, check_shape
from caffelite.errors import DataError, Problem
from caffelite.filetypes import FOLDER, LEVELDB, LMDB, type_of_folder
from caffelite.schema.binary import decode
from caffelite.schema.datum import Datum


class Database:
    """An LMDB database, open for reading. Use `open_database`; the last `close` closes it."""

    def __init__(self, path: str) -> None:
        self.path = path
        lmdb = need("lmdb", "lmdb", "reading an LMDB database")
        try:
            self.env = lmdb.open(
                path, readonly=True, lock=False, subdir=os.path.isdir(path), readahead=True
            )
        except lmdb.Error as error:
            raise DataError(f'"{path}" is not an LMDB database: {error}') from None
        try:
            self._check()
        except DataError:
            self.env.close()
            raise

    def _check(self) -> None:
        path = self.path
        # A page beyond the end of the file would be read as a bus error, not an exception.
        file = os.path.join(path, "data.mdb") if os.path.isdir(path) else path
        pages = self.env.info()["last_pgno"] + 1
        needed = pages * self.env.stat()["psize"]
        if os.path.getsize(file) < needed:
            raise DataError(
                f'"{path}" is truncated: it has {os.path.getsize(file)} bytes of {needed}'
            )
        self.count = int(self.env.stat()["entries"])
        if not self.count:
            raise DataError(f'"{path}" is empty: it holds no record')

    def close(self) -> None:
        """One user less."""
        with _lock:
            key = os.path.realpath(self.path)
            database, users = _open.pop(key)
            if users > 1:
                _open[key] = database, users - 1
            else:
                self.env.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def first_shape(self, color: bool | None) -> Shape:
        """The shape (C, H, W) of the first record."""
        with self.env.begin() as transaction, transaction.cursor() as cursor:
            cursor.first()
            return pixels(*self.decode(cursor.key(), cursor.value()), color).shape

    def decode(self, key: bytes, value: bytes) -> tuple[Datum, str]:
        """A record, and what errors call it."""
        record = f'record "{key.decode(errors="replace")}" of "{self.path}"'
        return decode(value, Datum, record), record


_open: dict[str, tuple[Database, int]] = {}
"""The open databases, and how many use each."""
_lock = threading.RLock()  # a finalizer may close one while another is being opened


def open_database(path: str) -> Database:
    """The LMDB database in a folder. One that is open already, for another net, is shared: LMDB
    allows a process to open it once. Raises DataError."""
    kind = type_of_folder(path) if os.path.isdir(path) else LMDB
    if kind is not LMDB:
        found = "a folder without data.mdb" if kind is FOLDER else kind.name
        raise DataError(
            Problem(f'"{path}" is {found}', expected="an LMDB database", hint=kind.hint)
        )
    key = os.path.realpath(path)
    with _lock:
        database, users = _open.get(key) or (Database(path), 0)
        _open[key] = database, users + 1
    return database


LEVELDB_ADVICE = LEVELDB.hint


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
        self._shape, self._skip = shape, skip
        self._cursor: Any = None
        self._next: bytes | None = None
        weakref.finalize(self, database.close)

    def fill(self, out: Sequence[Array]) -> None:
        if self._cursor is None:
            self._seek()
        cursor = self._cursor
        for row in range(len(out[0])):
            datum, record = self.database.decode(cursor.key(), cursor.value())
            image = pixels(datum, record, self.color)
            if image.shape != self._shape:
                if not self.transformer.crop or len(image) != self._shape[0]:
                    check_shape(image.shape, self._shape, record)
                self.transformer.shape(image.shape, record)
            self.transformer(image, out[0][row])
            if len(out) > 1:
                out[1][row] = datum.label
            if not cursor.next():
                cursor.first()
        self._next = cursor.key()

    def _seek(self) -> None:
        cursor = self._cursor = self.database.env.begin().cursor()
        cursor.first()
        if self._next is not None:
            if not cursor.set_key(self._next):
                raise DataError(
                    f'"{self.database.path}" has no record "{self._next!r}", where the snapshot '
                    "says to go on"
                )
            return
        for _ in range(self._skip % self.database.count):
            cursor.next()

    def state(self) -> dict[str, Any]:
        state = {"transform": self.transformer.state()}
        return state if self._next is None else {**state, "next": self._next.hex()}

    def restore(self, state: dict[str, Any]) -> None:
        self._next = bytes.fromhex(state["next"]) if "next" in state else None
        self._cursor = None
        self.transformer.restore(state["transform"])
