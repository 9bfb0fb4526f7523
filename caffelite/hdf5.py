"""HDF5 files, read with care.

A file of HDF5 can name other files: links, external storage and virtual data sets lead out of it,
and reading would bring their bytes in. So only what lies in the file itself is read. Shapes, types
and sizes are checked before any value is, and a compressed chunk that would become larger than it
says is found first.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.errors import CaffeliteError, Problem
from caffelite.optional import need
from caffelite.reading import (
    MAX_AXES,
    check_limit,
    check_plain,
    check_unpacked,
    limit,
    reading,
    shown,
)

_DEFLATE, _SHUFFLE, _FLETCHER, _LZF = 1, 2, 3, 32000
_FILTERS = {_DEFLATE, _SHUFFLE, _FLETCHER, 5, 6, _LZF}
"""gzip, shuffle, checksum, n-bit, scale-offset and lzf: no other is run, and none is loaded."""
_MOST = {_DEFLATE: 1032, _LZF: 100}
"""A byte of these becomes so many at most."""
_SAME_SIZE = {_SHUFFLE, _FLETCHER}
"""These leave a chunk's size as it is, but for the checksum."""
_CHECKSUM = 4
_DEEPEST = 64


@dataclass(frozen=True)
class DataSet:
    """A data set that may be read: it lies in the file and is no larger than allowed."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    id: Any


class Reader:
    """An open HDF5 file. Use `open_hdf5`."""

    def __init__(self, path: str, file: Any, size: int, error: type[CaffeliteError]) -> None:
        import h5py

        self.path, self.error, self._h5 = path, error, h5py
        self._root, self._size = file.id, size
        self._total = 0

    def names(self, group: str = "") -> list[str]:
        """What is in a group."""
        return [shown_name(name) for name in self._members(self._object(group))]

    def has(self, name: str) -> bool:
        """Is there an object of that name, in the file itself?"""
        return self._object(name) is not None

    def is_group(self, name: str) -> bool:
        """Is there a group of that name, in the file itself?"""
        return isinstance(self._object(name), self._h5.h5g.GroupID)

    def find(self, name: str) -> DataSet | None:
        """The data set of numbers `name`; None if there is none."""
        found = self._object(name)
        return self._numbers(name, found) if self._is_data(found) else None

    def walk(self, group: str) -> Iterator[DataSet]:
        """All data sets in a group and the groups within, by their names from there."""
        todo = [("", self._object(group), 0)]
        seen: set[Any] = set()
        count = 0
        while todo:
            at, node, depth = todo.pop()
            place = self._h5.h5o.get_info(node).addr
            if place in seen or depth > _DEEPEST:
                raise self._refuse(f'the group "{shown(at)}" contains itself, or lies too deep')
            seen.add(place)
            groups = []
            for part in self._members(node):
                count += 1
                check_limit("objects", count, f'"{self.path}"', self.error)
                name = f"{at}/{shown_name(part)}" if at else shown_name(part)
                child = self._child(node, part, name)
                if self._is_data(child):
                    yield self._numbers(name, child)
                elif isinstance(child, self._h5.h5g.GroupID):
                    groups.append((name, child, depth + 1))
            todo += reversed(groups)

    def read(self, data: DataSet) -> np.ndarray:
        """The values. All that is read of one file may be no larger than allowed."""
        self._total += math.prod(data.shape) * data.dtype.itemsize
        check_unpacked(self._total, self._size, f'"{self.path}"', self.error)
        self._check_chunks(data)
        return np.asarray(self._h5.Dataset(data.id)[()])

    def text(self, name: str) -> str | None:
        """A text; None if there is none."""
        found = self._object(name)
        if not self._is_data(found):
            return None
        self._check_stored(name, found)
        kind = found.get_type()
        single = found.get_space().get_simple_extent_npoints() == 1
        if not single or not isinstance(kind, self._h5.h5t.TypeStringID):
            raise self._refuse(f'"{name}" is no text')
        check_unpacked(kind.get_size(), self._size, f'"{self.path}"', self.error)
        value = np.asarray(self._h5.Dataset(found)[()]).reshape(-1)[0]
        return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)

    # Checks.

    def _members(self, node: Any) -> Iterator[bytes]:
        if not isinstance(node, self._h5.h5g.GroupID):
            return
        check_limit("objects", node.get_num_objs(), f'"{self.path}"', self.error)
        yield from node

    def _object(self, name: str) -> Any:
        node, at = self._h5.h5g.open(self._root, b"/"), ""
        for part in filter(None, name.split("/")):
            at = f"{at}/{part}" if at else part
            key = part.encode("utf-8", "surrogateescape")
            if not isinstance(node, self._h5.h5g.GroupID) or not node.links.exists(key):
                return None
            node = self._child(node, key, at)
        return node

    def _child(self, node: Any, key: bytes, name: str) -> Any:
        if node.links.get_info(key).type != self._h5.h5l.TYPE_HARD:
            raise self._refuse(f'"{shown(name)}" is a link to another place')
        return self._h5.h5o.open(node, key)

    def _is_data(self, found: Any) -> bool:
        return isinstance(found, self._h5.h5d.DatasetID)

    def _numbers(self, name: str, found: Any) -> DataSet:
        layout = self._check_stored(name, found)
        try:
            dtype = found.dtype
        except (TypeError, ValueError, KeyError):
            dtype = np.dtype("V1")
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            raise self._refuse(f'"{shown(name)}" holds {shown(dtype, 60)}, and no plain numbers')
        space = found.get_space()
        if space.get_simple_extent_type() == self._h5.h5s.NULL or found.rank > MAX_AXES:
            raise self._refuse(f'"{shown(name)}" has {found.rank} axes, or no shape')
        shape = tuple(int(n) for n in found.shape)
        size = math.prod(shape) * dtype.itemsize
        check_unpacked(size, self._size, f'"{self.path}": "{shown(name)}"', self.error)
        if layout == self._h5.h5d.CHUNKED:
            chunk = math.prod(found.get_create_plist().get_chunk()) * dtype.itemsize
            what = f'"{self.path}": a chunk of "{shown(name)}"'
            check_unpacked(chunk, self._size, what, self.error)
        return DataSet(name, shape, dtype, found)

    def _check_stored(self, name: str, found: Any) -> int:
        """Refuse data that is not in this file; how it is laid out."""
        plist = found.get_create_plist()
        if plist.get_external_count():
            raise self._refuse(f'the data of "{shown(name)}" lies in another file')
        layout = int(plist.get_layout())
        if layout == self._h5.h5d.VIRTUAL:
            raise self._refuse(f'"{shown(name)}" is made of other data sets (virtual)')
        for i in range(plist.get_nfilters()):
            code = plist.get_filter(i)[0]
            if code not in _FILTERS:
                raise self._refuse(
                    f'"{shown(name)}" is packed with the filter {code}, unknown here'
                )
        return layout

    def _check_chunks(self, data: DataSet) -> None:
        """Refuse chunks that are smaller than they must be, which HDF5 2.0 reads beyond, and
        compressed ones that would become larger than a chunk of this data set is."""
        plist = data.id.get_create_plist()
        if plist.get_layout() != self._h5.h5d.CHUNKED:
            return
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        codes = _MOST.keys() & filters
        most = max((_MOST[code] for code in codes), default=1)
        bound = limit("unpacked")
        plain = math.prod(plist.get_chunk()) * data.dtype.itemsize
        for i in range(data.id.get_num_chunks()):
            chunk = data.id.get_chunk_info(i)
            used = {code for k, code in enumerate(filters) if not chunk.filter_mask >> k & 1}
            least = _CHECKSUM * (_FLETCHER in used) + (1 if used - _SAME_SIZE else plain)
            if chunk.size < least:
                raise self._refuse(f'a chunk of "{shown(data.name)}" holds less than it should')
            if chunk.size * most <= bound or not codes:
                continue
            what = f'"{self.path}": a chunk of "{shown(data.name)}"'
            if codes != {_DEFLATE}:
                check_unpacked(chunk.size * most, self._size, what, self.error)
                continue
            check_unpacked(chunk.size, self._size, what, self.error)
            _, packed = data.id.read_direct_chunk(chunk.chunk_offset)
            # 64: checksums
            if chunk.filter_mask == 0 and not _inflates_to(packed, plain + 64):
                raise self._refuse(f'a chunk of "{shown(data.name)}" holds more than it should')

    def _refuse(self, why: str) -> CaffeliteError:
        return self.error(
            Problem(f'"{self.path}": {why}', expected="numbers that are stored in the file itself")
        )


def _inflates_to(packed: bytes, most: int) -> bool:
    """Does what is compressed give no more than `most` bytes?"""
    unpack, left = zlib.decompressobj(), packed
    done = 0
    while left and not unpack.eof:
        done += len(unpack.decompress(left, 1 << 20))
        left = unpack.unconsumed_tail
        if done > most:
            return False
    return True


def shown_name(name: bytes) -> str:
    """A name in a file as text."""
    return name.decode("utf-8", "surrogateescape")


@contextmanager
def open_hdf5(path: str, error: type[CaffeliteError]) -> Iterator[Reader]:
    """An HDF5 file, open for reading. Within the block, whatever the library raises becomes an
    `error` with the file's name."""
    h5py = need("h5py", "h5py", f"{path}: reading HDF5 files", error=error)
    size = check_plain(path, error)
    with reading(f'"{path}"', "an HDF5 file", error), h5py.File(path, "r") as file:
        yield Reader(path, file, size, error)
