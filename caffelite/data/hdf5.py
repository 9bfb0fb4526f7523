"""Arrays in several HDF5 files, one file in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.feed import Order
from caffelite.data.optional import need
from caffelite.errors import DataError, Problem, did_you_mean


class HDF5File:
    """What is known of one file before it is loaded: for each data set its shape."""

    def __init__(self, path: str, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        with self._open() as file:
            self.shapes: list[Shape] = [self._shape(file, name) for name in names]
        self.rows = self.shapes[0][0]
        for name, shape in zip(names, self.shapes):
            if shape[0] != self.rows:
                raise DataError(
                    f'"{path}": data set "{name}" has {shape[0]} rows, but "{names[0]}" has '
                    f"{self.rows}"
                )

    def _open(self) -> Any:
        try:
            return need("h5py", "h5py", "reading HDF5 files").File(self.path, "r")
        except FileNotFoundError:
            raise DataError(f'"{self.path}" is missing') from None
        except OSError as error:
            raise DataError(f'"{self.path}" cannot be read as HDF5: {error}') from None

    def _shape(self, file: Any, name: str) -> Shape:
        stored = file.get(name)
        if not hasattr(stored, "shape"):
            raise DataError(
                Problem(
                    f'"{self.path}" has no data set "{name}"',
                    expected="one for each top; there are " + (", ".join(file) or "none"),
                    hint=did_you_mean(name, file),
                )
            )
        if stored.dtype.kind not in "fiub" or not stored.shape:
            raise DataError(
                f'"{self.path}": data set "{name}" holds {stored.dtype} of shape {stored.shape}; '
                "rows of numbers were expected"
            )
        return tuple(int(n) for n in stored.shape)

    def load(self, dtype: np.dtype) -> list[Array]:
        """All the data sets."""
        with self._open() as file:
            try:
                return [np.asarray(file[name][()], dtype) for name in self.names]
            except OSError as error:
                raise DataError(f'"{self.path}" is damaged: {error}') from None


class HDF5Feed:
    """Rows of several files; the order shuffles files, and rows within each."""

    def __init__(
        self, files: Sequence[HDF5File], shuffle: bool, dtype: np.dtype, rng: np.random.Generator
    ) -> None:
        for file in files[1:]:
            for name, shape, first in zip(file.names, file.shapes, files[0].shapes):
                if shape[1:] != first[1:]:
                    raise DataError(
                        f'"{file.path}": rows of "{name}" have the shape {shape[1:]}, but in '
                        f'"{files[0].path}" they have {first[1:]}'
                    )
        self.files, self.dtype = files, dtype
        self.order = Order([file.rows for file in files], shuffle, rng)
        if not self.order.count:
            raise DataError(f'"{files[0].path}" holds no rows')
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
