"""Blob: an array and its gradient, of one shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np

Shape = tuple[int, ...]
Array = np.ndarray
T = TypeVar("T")


class Handed(list[T]):
    """Arrays that a layer is handed, to be written into. One that was put in the place of another
    would reach no blob, so that is refused; `top[0] += 1` writes and is fine."""

    def __setitem__(self, index: Any, value: Any) -> None:
        if value is not self[index]:
            raise TypeError("an array cannot be replaced here: write into it, top[0][...] = values")


class Blob:
    """`data` and `diff`, arrays of one shape and type.

    Both are written in place (`blob.data[...] = x`): the net keeps views of them, so they cannot
    be replaced. `diff` takes memory once it is first asked for.
    """

    __slots__ = ("_data", "_diff", "_on_reshape")

    _data: Array
    _diff: Array | None

    def __init__(
        self,
        data: Array,
        diff: Array | None = None,
        on_reshape: Callable[[Shape], None] | None = None,
    ) -> None:
        self._data = data
        self._diff = diff
        self._on_reshape = on_reshape

    @property
    def data(self) -> Array:
        """The values."""
        return self._data

    @data.setter
    def data(self, values: object) -> None:
        self._refuse("data")

    @property
    def diff(self) -> Array:
        """The gradient of the objective with respect to `data`."""
        if self._diff is None:
            self._diff = np.zeros(self._data.shape, self._data.dtype)
        return self._diff

    @diff.setter
    def diff(self, values: object) -> None:
        self._refuse("diff")

    @property
    def raw_diff(self) -> Array:
        """The memory of `diff`, whose content may be out of date: to be written into."""
        return self.diff

    def _refuse(self, name: str) -> NoReturn:
        raise AttributeError(
            f"a blob's array cannot be replaced: write into it, {name}[...] = values"
        )

    @property
    def shape(self) -> Shape:
        return tuple(self._data.shape)

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._data.dtype

    @property
    def count(self) -> int:
        """How many values."""
        return math.prod(self.shape)

    def _old_axis(self, axis: int) -> int:
        shape = self.shape
        if len(shape) > 4:
            raise ValueError(f"a blob of {len(shape)} axes has no num/channels/height/width")
        return shape[axis] if axis < len(shape) else 1

    num = property(lambda self: self._old_axis(0), doc="The extent of axis 0, or 1.")
    channels = property(lambda self: self._old_axis(1), doc="The extent of axis 1, or 1.")
    height = property(lambda self: self._old_axis(2), doc="The extent of axis 2, or 1.")
    width = property(lambda self: self._old_axis(3), doc="The extent of axis 3, or 1.")

    def reshape(self, *shape: int) -> None:
        """Change the shape. The values stay if their number does, else they start as zeros.
        Layers that read the blob follow at the next forward pass."""
        new = tuple(int(n) for n in shape)
        if any(n < 0 for n in new):
            raise ValueError(f"a blob cannot have the shape {new}")
        if new == self.shape:
            return
        if self._on_reshape is None:
            raise ValueError("this blob's shape follows from the net; reshape an input instead")
        self._on_reshape(new)

    def __repr__(self) -> str:
        return f"<Blob {' x '.join(map(str, self.shape)) or 'scalar'} {self.dtype}>"
