"""Arrays in several HDF5 files, one file in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.arrays import show
from caffelite.data.feed import Order
from caffelite.data.optional import need
from caffelite.errors import DataError, Problem, did_you_mean


@dataclass(frozen=True)
class HDF5File:
    """What is known of one file before it is loaded: for each data set its shape."""

    path: str
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]

    @property
    def rows(self) -> int:
        return self.shapes[0][0]

    def load(self, dtype: np.dtype) -> list[Array]:
        """All the data sets. Raises DataError if they have changed."""
        with _opened(self.path) as file:
            found = tuple(_shape(file, self.path, name) for name in self.names)
            if found != self.shapes:
                raise DataError(
                    f'"{self.path}" has changed since the net was made: its data sets are '
                    f"{show(found)}, where {show(self.shapes)} were expected"
                )
            return [np.asarray(file[name][()], dtype) for name in self.names]


def describe(path: str, names: Sequence[str]) -> HDF5File:
    """Look at the data sets `names` of a file. Raises DataError if they are no rows of numbers."""
    with _opened(path) as file:
        described = HDF5File(path, tuple(names), tuple(_shape(file, path, n) for n in names))
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


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    h5py = need("h5py", "h5py", "reading HDF5 files")
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise DataError(f'"{path}" is missing') from None
    except OSError as error:
        raise DataError(f'"{path}" cannot be read as HDF5: {error}') from None
    with file:
        try:
            yield file
        except OSError as error:
            raise DataError(f'"{path}" is damaged: {error}') from None


def _shape(file: Any, path: str, name: str) -> Shape:
    stored = file.get(name)
    if not hasattr(stored, "shape"):
        raise DataError(
            Problem(
                f'"{path}" has no data set "{name}"',
                expected="one for each top; there are " + (", ".join(file) or "none"),
                hint=did_you_mean(name, file),
            )
        )
    if stored.dtype.kind not in "fiub" or not stored.shape:
        raise DataError(
            f'"{path}": data set "{name}" holds {stored.dtype} of shape {stored.shape}; '
            "rows of numbers were expected"
        )
    return tuple(int(n) for n in stored.shape)


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
