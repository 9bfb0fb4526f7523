"""Making an LMDB database."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from caffelite.errors import DataError, Problem
from caffelite.optional import need
from caffelite.schema.annotated import AnnotatedDatum
from caffelite.schema.binary import encode
from caffelite.schema.datum import Datum

BATCH = 1000
BATCH_BYTES = 64 << 20
MAX_KEY = 511
"""LMDB takes no longer keys, in bytes."""


class DatabaseWriter:
    """A new LMDB database of records, Datum or AnnotatedDatum, in a `with` statement.

    It is written in a temporary folder beside `path`, which takes its name at the end of the
    statement: there is no half database, whatever happens. After an error nothing is left.
    Raises DataError if `path` is there already or cannot be written.
    """

    def __init__(self, path: str, map_size: int = 64 << 20) -> None:
        self.path = path
        self._target = Path(os.path.abspath(path))
        self._part = self._target.with_name(f".{self._target.name}.{uuid.uuid4().hex[:8]}.part")
        self._map_size = map_size
        self._waiting: list[tuple[bytes, bytes]] = []
        self._bytes = 0
        self._lmdb = need("lmdb", "lmdb", "writing an LMDB database")

    def __enter__(self) -> DatabaseWriter:
        if os.path.lexists(self._target):
            raise DataError(
                Problem(f'"{self.path}" is there already', hint="remove it, or give another name")
            )
        try:
            os.mkdir(self._part)
            # Nobody else knows this folder, and it is flushed once, at the end.
            self._env: Any = self._lmdb.open(
                str(self._part), map_size=self._map_size, lock=False, sync=False
            )
        except (OSError, self._lmdb.Error) as error:
            raise self._failed(error) from None
        return self

    def put(self, key: bytes, datum: Datum | AnnotatedDatum) -> None:
        """Add a record. Records are read in the order of their keys."""
        value = encode(datum)
        self._waiting.append((key, value))
        self._bytes += len(value)
        if len(self._waiting) >= BATCH or self._bytes >= BATCH_BYTES:
            self._commit()

    def _commit(self) -> None:
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    for key, value in self._waiting:
                        transaction.put(key, value)
                break
            except self._lmdb.MapFullError:
                self._map_size = 2 * self._map_size + self._bytes
                self._env.set_mapsize(self._map_size)
            except self._lmdb.Error as error:
                raise self._failed(error) from None
        self._waiting.clear()
        self._bytes = 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
                self._env.sync(True)
            self._env.close()
            if kind is None:
                os.rename(self._part, self._target)
        except (OSError, self._lmdb.Error) as failure:
            raise self._failed(failure) from None
        finally:
            shutil.rmtree(self._part, ignore_errors=True)

    def _failed(self, error: Exception) -> DataError:
        reason = getattr(error, "strerror", None) or error
        return DataError(f'"{self.path}" cannot be written: {reason}')
