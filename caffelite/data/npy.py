"""NumPy's files: .npz (several named arrays) and .npy (one)."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
from numpy.lib import format as npy

from caffelite.blob import Array, Shape
from caffelite.data.idx import fill
from caffelite.errors import DataError
from caffelite.reading import (
    MAX_AXES,
    check_limit,
    check_unpacked,
    plain_file,
    reading,
    shown,
    size_of,
)


def read_shapes(path: str) -> dict[str, tuple[Shape, np.dtype]]:
    """The arrays in a file and their shapes and types, without reading them; a .npy file's one
    array has the name "". Raises DataError if it is no such file."""
    with _open(path) as file:
        return {name: file.header(name) for name in file.names}


def read_arrays(path: str, names: list[str]) -> list[Array]:
    """The named arrays. Raises DataError if the file is damaged, or if they would be larger than
    `caffelite.reading` allows."""
    with _open(path) as file:
        total = 0
        for name in names:
            if name not in file.names:
                raise DataError(f'"{path}" has no array "{shown(name)}" any more')
            shape, dtype = file.header(name)
            total += math.prod(shape) * dtype.itemsize
        check_unpacked(total, file.size, f'"{path}"')
        return [file.read(name) for name in names]


@dataclass(frozen=True)
class _Arrays:
    """An open file of arrays."""

    path: str
    file: BinaryIO
    archive: zipfile.ZipFile | None
    size: int
    names: list[str]

    def header(self, name: str) -> tuple[Shape, np.dtype]:
        with self._member(name) as member:
            shape, _, dtype = self._header(member, name)
        return shape, dtype

    def read(self, name: str) -> Array:
        with self._member(name) as member:
            shape, fortran, dtype = self._header(member, name)
            if dtype.hasobject:
                raise DataError(f'"{self.path}": "{shown(name)}" holds objects, not numbers')
            array = np.empty(shape, dtype, order="F" if fortran else "C")
            flat = array.T if fortran else array
            if fill(member, flat) < array.nbytes or member.read(1):
                raise DataError(
                    f'"{self.path}" is damaged: "{shown(name)}" is shorter or longer than its '
                    "shape says"
                )
        return array

    @contextmanager
    def _member(self, name: str) -> Iterator[BinaryIO]:
        if self.archive is None:
            self.file.seek(0)
            yield self.file
        else:
            with self.archive.open(f"{name}.npy") as member:
                yield cast(BinaryIO, member)

    def _header(self, member: BinaryIO, name: str) -> tuple[Shape, bool, np.dtype]:
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(member)
        if len(shape) > MAX_AXES or min(shape, default=0) < 0:
            raise DataError(f'"{self.path}": "{shown(name)}" has the shape {shown(shape)}')
        size = math.prod(shape) * dtype.itemsize
        check_unpacked(size, self.size, f'"{self.path}": "{shown(name)}"')
        return shape, fortran, dtype


@contextmanager
def _open(path: str) -> Iterator[_Arrays]:
    with plain_file(path) as file, reading(f'"{path}"', "a .npz or .npy file"):
        size = size_of(file)
        if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
            yield _Arrays(path, file, None, size, [""])
            return
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            check_limit("objects", len(names), f'"{path}"')
            arrays = [name[:-4] for name in names if name.endswith(".npy")]
            yield _Arrays(path, file, archive, size, arrays)
