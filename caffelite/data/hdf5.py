"""Arrays in several HDF5 files, one file in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.arrays import show
from caffelite.data.feed import Order
from caffelite.errors import DataError, Problem, did_you_mean
from caffelite.hdf5 import DataSet, Reader, open_hdf5
from caffelite.reading import shown


@dataclass(frozen=True)
class HDF5File:
    """What is known of one file before it is loaded: for each data set its shape."""

    path: str
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]

    @property
    def rows(self) -> int:
        return self.shapes[0][0]

    def column(self, index: int) -> Array:
        """One data set alone."""
        with open_hdf5(self.path, DataError) as file:
            return np.asarray(file.read(_find(file, self.names[index])))

    def load(self, dtype: np.dtype) -> list[Array]:
        """All the data sets. Raises DataError if they have changed."""
        with open_hdf5(self.path, DataError) as file:
            stored = [_find(file, name) for name in self.names]
            found = tuple(data.shape for data in stored)
            if found != self.shapes:
                raise DataError(
                    f'"{self.path}" has changed since the net was made: its data sets are '
                    f"{show(found)}, where {show(self.shapes)} were expected"
                )
            return [np.asarray(file.read(data), dtype) for data in stored]


def describe(path: str, names: Sequence[str]) -> HDF5File:
    """Look at the data sets `names` of a file. Raises DataError if they are no rows of numbers."""
    with open_hdf5(path, DataError) as file:
        described = HDF5File(path, tuple(names), tuple(_find(file, n).shape for n in names))
    for name, shape in zip(names, described.shapes):
        if shape[0] != described.rows:
            raise DataError(
                f'"{path}": data set "{name}" has {shape[0]} rows, but "{names[0]}" has '
                f"{described.rows}"
            )
    return described


def check_files(files: Sequence[HDF5File]) -> int:
    """How many rows there are in all. Raises DataError if the files do not belong together."""
    for file in files[1:]:
        for name, shape, first in zip(file.names, file.shapes, files[0].shapes):
            if shape[1:] != first[1:]:
                raise DataError(
                    f'"{file.path}": rows of "{name}" have the shape {shape[1:]}, but in '
                    f'"{files[0].path}" they have {first[1:]}'
                )
    count = sum(file.rows for file in files)
    if not count:
        raise DataError(f'"{files[0].path}" holds no rows')
    return count


def _find(file: Reader, name: str) -> DataSet:
    data = file.find(name)
    if data is None:
        names = [shown(n) for n in file.names() if n.isprintable()]
        raise DataError(
            Problem(
                f'"{file.path}" has no data set "{name}"',
                expected="one for each top; there are " + (shown(", ".join(names)) or "none"),
                hint=did_you_mean(name, names[:1000]),
            )
        )
    if not data.shape:
        raise DataError(f'"{file.path}": data set "{name}" is one number; rows were expected')
    return data


class HDF5Feed:
    """Rows of several files; the order shuffles files, and rows within each."""

    def __init__(
        self, files: Sequence[HDF5File], shuffle: bool, dtype: np.dtype, rng: np.random.Generator
    ) -> None:
        self.files, self.dtype = files, dtype
        self.order = Order([file.rows for file in files], shuffle, rng)
        self._starts = np.cumsum([0, *(file.rows for file in files)])
        self._loaded = -1
        self._arrays: list[Array] = []

    def fill(self, out: Sequence[Array]) -> None:
        rows = self.order.take(len(out[0]))
        files = np.searchsorted(self._starts, rows, "right") - 1
        # Runs of rows of one file, so that each file is loaded once.
        cuts = np.flatnonzero(np.diff(files)) + 1
        for start, end in zip([0, *cuts], [*cuts, len(rows)]):
            index = int(files[start])
            if index != self._loaded:
                self._arrays = []  # not two in memory at once
                self._arrays, self._loaded = self.files[index].load(self.dtype), index
            for target, values in zip(out, self._arrays):
                target[start:end] = values[rows[start:end] - self._starts[index]]

    def state(self) -> dict[str, Any]:
        return self.order.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.order.restore(state)
