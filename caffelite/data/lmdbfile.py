"""The file of an LMDB database, read by page.

LMDB's own library maps the file and trusts what is in it: a damaged page, a file that is cut while
it is read, or a writer that knows nothing of the reader can end the process. Here every offset is
checked, pages are copied by ordinary reads, and nothing is mapped.

The layout is that of LMDB's format 1 on 64-bit little-endian machines: two meta pages, of which
the one of the later transaction counts, then the pages of a B+ tree, whose leaves hold the records
or point to overflow pages for long ones.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from caffelite.errors import DataError

MAGIC, FORMAT = 0xBEEFC0DE, 1
_NODE = struct.Struct("<HHHH")
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_BIG = 1
_DEEPEST = 32
_NONE = 2**64 - 1


@dataclass(frozen=True)
class Meta:
    """The database after one transaction."""

    page_size: int
    root: int
    entries: int
    last: int
    """The last page."""
    transaction: int


class LmdbFile:
    """An open data.mdb. Raises DataError for all that is not as it should be."""

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def size(self) -> int:
        """The bytes of the file, now."""
        return os.fstat(self._fd).st_size

    def meta(self) -> Meta:
        """The state after the last transaction."""
        first = self._meta(0)
        second = self._meta(first.page_size) if first else None
        found = max((m for m in (first, second) if m), key=lambda m: m.transaction, default=None)
        if found is None:
            raise DataError(f'"{self.name}" is not an LMDB database, or is damaged')
        needed = (found.last + 1) * found.page_size
        if self.size() < needed:
            raise DataError(f'"{self.name}" is truncated: it has {self.size()} bytes of {needed}')
        return found

    def _meta(self, at: int) -> Meta | None:
        data = self.bytes(at, 152)
        if len(data) < 152:
            return None
        magic, version = struct.unpack_from("<II", data, 16)
        page_size = struct.unpack_from("<I", data, 40)[0]
        flags = struct.unpack_from("<H", data, 92)[0]
        entries, root, last, transaction = struct.unpack_from("<QQQQ", data, 120)
        if (magic, version) != (MAGIC, FORMAT) or page_size not in (2**n for n in range(8, 17)):
            return None
        if flags:
            raise DataError(f'"{self.name}" is an LMDB database of another kind: flags {flags:#x}')
        return Meta(page_size, root, entries, last, transaction)

    def bytes(self, at: int, size: int) -> bytes:
        """Bytes of the file; fewer at its end."""
        if not hasattr(os, "pread"):  # Windows
            os.lseek(self._fd, at, os.SEEK_SET)
            return os.read(self._fd, size)
        return os.pread(self._fd, size, at)


class Cursor:
    """A place in the records of one state."""

    def __init__(self, file: LmdbFile, meta: Meta) -> None:
        self._file, self._meta = file, meta
        self._way: list[tuple[bytes, int, int]] = []
        """The pages from the root, with their number of nodes and which of them it is in."""

    def first(self) -> bool:
        """Go to the first record; False if there is none."""
        return self._descend(self._meta.root, None)

    def seek(self, key: bytes) -> bool:
        """Go to the first record whose key is `key` or after it; False if there is none."""
        if not self._descend(self._meta.root, key):
            return False
        return self.key() >= key or self.next()

    def next(self) -> bool:
        """Go on to the next record; False at the end."""
        while self._way:
            page, count, index = self._way.pop()
            if index + 1 < count:
                self._way.append((page, count, index + 1))
                if self._flags(page) == _LEAF:
                    return True
                return self._descend(self._child(page, index + 1), None)
        return False

    def key(self) -> bytes:
        """The record's key."""
        page, _, index = self._way[-1]
        at, _, _, size = self._node(page, index)
        return page[at : at + size]

    def value(self) -> bytes:
        """The record's value."""
        page, _, index = self._way[-1]
        at, size, flags, key_size = self._node(page, index)
        at += key_size
        if flags == 0:
            if at + size > len(page):
                raise self._damaged()
            return page[at : at + size]
        if flags != _BIG or at + 8 > len(page):
            raise self._damaged("it holds more than one record of a key, or databases within")
        number = struct.unpack_from("<Q", page, at)[0]
        header = self._read(number)
        pages = struct.unpack_from("<I", header, 12)[0]
        page_size = self._meta.page_size
        fits = number + pages <= self._meta.last + 1 and 16 + size <= pages * page_size
        if self._flags(header) != _OVERFLOW or not fits:
            raise self._damaged()
        value = self._file.bytes(number * page_size + 16, size)
        if len(value) < size:
            raise self._damaged("it has been cut")
        return value

    def _descend(self, number: int, key: bytes | None) -> bool:
        """To a leaf: the first below, or where `key` is or would be."""
        if number == _NONE and not self._way:
            return False
        while True:
            page = self._read(number)
            lower = struct.unpack_from("<H", page, 12)[0]
            flags, count = self._flags(page), (lower - 16) // 2
            if flags not in (_BRANCH, _LEAF) or count < 1 or lower > len(page):
                raise self._damaged()
            if len(self._way) > _DEEPEST:
                raise self._damaged("its pages go round in a circle")
            index = 0 if key is None else self._find(page, count, key, flags == _LEAF)
            self._way.append((page, count, index))
            if flags == _LEAF:
                return True
            number = self._child(page, index)

    def _find(self, page: bytes, count: int, key: bytes, leaf: bool) -> int:
        """In a leaf the first node from `key` on, or the last; in a branch the last up to it."""
        low, high = (0, count) if leaf else (1, count)  # the first key of a branch is left out
        while low < high:
            middle = (low + high) // 2
            at, _, _, size = self._node(page, middle)
            found = page[at : at + size]
            if found < key or (not leaf and found == key):
                low = middle + 1
            else:
                high = middle
        return min(low, count - 1) if leaf else low - 1

    def _child(self, page: bytes, index: int) -> int:
        """The page that a branch's node points to."""
        _, size, flags, _ = self._node(page, index)
        return size | flags << 32

    def _node(self, page: bytes, index: int) -> tuple[int, int, int, int]:
        """Where its key is, its value's size, its flags, its key's size."""
        at = struct.unpack_from("<H", page, 16 + 2 * index)[0]
        if at < 16 or at + 8 > len(page):
            raise self._damaged()
        low, high, flags, key_size = _NODE.unpack_from(page, at)
        if at + 8 + key_size > len(page):
            raise self._damaged()
        return at + 8, low | high << 16, flags, key_size

    def _flags(self, page: bytes) -> int:
        return int(struct.unpack_from("<H", page, 10)[0]) & ~0x10

    def _read(self, number: int) -> bytes:
        size = self._meta.page_size
        if not 2 <= number <= self._meta.last:
            raise self._damaged()
        page = self._file.bytes(number * size, size)
        if len(page) < size or struct.unpack_from("<Q", page)[0] != number:
            raise self._damaged()
        return page

    def _damaged(self, why: str = "a page is not as it should be") -> DataError:
        return DataError(f'"{self._file.name}" is a damaged LMDB database: {why}')
