"""LMDB databases, in use: shared, and read beside a writer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

from caffelite.data.lmdbfile import Cursor, LmdbFile, Meta
from caffelite.errors import DataError, Problem
from caffelite.filetypes import FOLDER, LEVELDB, LMDB, type_of_folder
from caffelite.reading import check_plain, reading, shown

Record = tuple[bytes, bytes]
TRIES = 50
"""Attempts to read while somebody else writes."""


class Database:
    """An LMDB database, open for reading. Use `open_database`; the last `close` closes it.

    What is read together is of one state. A writer does not know of readers, and may use old pages
    again two transactions later; what was read across that is read again. Raises DataError."""

    def __init__(self, path: str) -> None:
        self.path = path
        data = os.path.join(path, "data.mdb") if os.path.isdir(path) else path
        check_plain(data)
        with reading(f'"{path}"', "an LMDB database"):
            self._file = LmdbFile(data, path)
            try:
                self.count = self._file.meta().entries
                if not self.count:
                    raise DataError(f'"{path}" is empty: it holds no record')
            except BaseException:
                self._file.close()
                raise
        self._reading = threading.Lock()  # where reading moves the file's place

    def take(self, start: bytes | None, count: int, skip: int = 0) -> tuple[list[Record], bytes]:
        """`count` records from the key `start` on, or the next one if it is gone, from the first
        again at the end; and the key that follows. With None after `skip` records."""
        records: list[Record] = []
        failed, part = 0, count
        with reading(f'"{self.path}"', "an LMDB database"), self._reading:
            while len(records) < count or start is None:
                found = self._take(start, min(part, count - len(records)), skip)
                if found is None:  # fewer at a time, and soon
                    failed, part = failed + 1, max(1, part // 2)
                    if failed == TRIES:
                        raise DataError(
                            Problem(
                                f'"{self.path}" is being written to faster than it can be read',
                                hint="wait until it is written, or read a copy",
                            )
                        )
                    continue
                failed = 0
                records += found[0]
                start = found[1]
        return records, start

    def _take(
        self, start: bytes | None, count: int, skip: int
    ) -> tuple[list[Record], bytes] | None:
        """Records of one state; None if it was written over meanwhile."""
        meta = self._file.meta()
        try:
            found = self._records(Cursor(self._file, meta), start, count, skip)
        except DataError:
            if self._disturbed(meta):
                return None
            raise
        return None if self._disturbed(meta) else found

    def _records(
        self, cursor: Cursor, start: bytes | None, count: int, skip: int
    ) -> tuple[list[Record], bytes]:
        if start is None or not cursor.seek(start):
            self._first(cursor)
        for _ in range(skip if start is None else 0):
            self._step(cursor)
        records = []
        for _ in range(count):
            records.append((cursor.key(), cursor.value()))
            self._step(cursor)
        return records, cursor.key()

    def _first(self, cursor: Cursor) -> None:
        if not cursor.first():
            raise DataError(f'"{self.path}" is empty: it holds no record')

    def _step(self, cursor: Cursor) -> None:
        if not cursor.next():
            self._first(cursor)

    def _disturbed(self, meta: Meta) -> bool:
        """May a writer have used pages again that belong to this state?"""
        return self._file.meta().transaction > meta.transaction + 1

    def has(self, key: bytes) -> bool:
        """Is there a record of that key?"""
        ((found, _),) = self.take(key, 1)[0]
        return found == key

    def __iter__(self) -> Iterator[Record]:
        """All records, in the order of their keys."""
        key: bytes | None = None
        for start in range(0, self.count, 32):
            records, key = self.take(key, min(32, self.count - start))
            yield from records

    def close(self) -> None:
        """One user less."""
        with _lock:
            key = os.path.realpath(self.path)
            database, users = _open.pop(key)
            if users > 1:
                _open[key] = database, users - 1
            else:
                self._file.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


def record_name(database: Database, key: bytes) -> str:
    """What errors call a record."""
    return f'record "{shown(key.decode(errors="replace"))}" of "{database.path}"'


def name_at(path: str, index: int) -> str:
    """What people call the record of this number."""
    with open_database(path) as database:
        ((key, _),), _ = database.take(None, 1, skip=index)
        return record_name(database, key)


LEVELDB_ADVICE = LEVELDB.hint
