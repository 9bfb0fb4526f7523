"""Blob: an array and its gradient, of one shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Shape = tuple[int, ...]
Array = np.ndarray


class Blob:
    """`data` and `diff`, arrays of one shape and type.

    Both are written in place (`blob.data[...] = x`): the net keeps views of them, so they cannot
    be replaced. `diff` takes memory once it is first asked for.
    """

    __slots__ = ("_data", "_diff", "_on_reshape")

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
        raise AttributeError("a blob's array cannot be replaced: write into it, data[...] = values")

    @property
    def diff(self) -> Array:
        """The gradient of the objective with respect to `data`."""
        if self._diff is None:
            self._diff = self._new_diff()
        return self._diff

    @diff.setter
    def diff(self, values: object) -> None:
        raise AttributeError("a blob's array cannot be replaced: write into it, diff[...] = values")

    def _new_diff(self) -> Array:
        return np.zeros(self._data.shape, self._data.dtype)

    @property
    def shape(self) -> Shape:
        return tuple(self._data.shape)

    @property
    def count(self) -> int:
        """How many values."""
        return int(self._data.size)

    def _old_axis(self, axis: int) -> int:
        if self._data.ndim > 4:
            raise ValueError(f"a blob of {self._data.ndim} axes has no num/channels/height/width")
        return int(self._data.shape[axis]) if axis < self._data.ndim else 1

    num = property(lambda self: self._old_axis(0), doc="The extent of axis 0, or 1.")
    channels = property(lambda self: self._old_axis(1), doc="The extent of axis 1, or 1.")
    height = property(lambda self: self._old_axis(2), doc="The extent of axis 2, or 1.")
    width = property(lambda self: self._old_axis(3), doc="The extent of axis 3, or 1.")

    def reshape(self, *shape: int) -> None:
        """Change the shape; the values start as zeros. Layers that read the blob follow at the
        next forward pass."""
        new = tuple(int(n) for n in shape)
        if any(n < 0 for n in new):
            raise ValueError(f"a blob cannot have the shape {new}")
        if new == self.shape:
            return
        if self._on_reshape is None:
            raise ValueError("this blob's shape follows from the net; reshape an input instead")
        self._on_reshape(new)

    def _replace(self, data: Array, diff: Array | None) -> None:
        """For the net alone: new memory after a reshape."""
        self._data, self._diff = data, diff

    def __repr__(self) -> str:
        return f"<Blob {' x '.join(map(str, self.shape)) or 'scalar'} {self._data.dtype}>"
