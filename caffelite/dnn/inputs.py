"""What a net was given as its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.dnn.images import Scalar
from caffelite.errors import DataError, NetError, Problem, did_you_mean

NUMBERS = "fiub"
"""Kinds of NumPy's types that inputs may have."""


class Inputs:
    """The inputs of a net, each in an array of its own: float32, C-contiguous. It stays the same
    one until an input of another shape comes."""

    def __init__(self) -> None:
        self.given: dict[str, Array] = {}
        self._slots: dict[str, Array] = {}
        """The same, the first one also by the name ""."""

    def again(self, blob: Any, name: str, scalefactor: float, mean: Scalar) -> bool:
        """Is it an input like the last one, to be copied as it is? Then that is done. No time is
        lost here, as there are nets that take ten microseconds in all."""
        slot = self._slots.get(name)
        if (
            slot is not None
            and type(blob) is np.ndarray
            and blob.shape == slot.shape
            and blob.dtype.kind in NUMBERS
            and scalefactor == 1
            and type(mean) in (float, int)
            and mean == 0
        ):
            slot[...] = blob
            return True
        return False

    def put(
        self, blob: Any, name: str, scalefactor: float, mean: Scalar, names: Sequence[str]
    ) -> bool:
        """Take (blob - mean)·scalefactor for one of the inputs `names`. Is it in an array that was
        not there before? Raises NetError and DataError for what is no input."""
        values = np.asarray(blob)
        if name and name not in names:
            raise NetError(
                Problem(
                    f'"{name}" is not an input of the net',
                    expected="one of " + ", ".join(names),
                    hint=did_you_mean(name, names),
                )
            )
        if values.dtype.kind not in NUMBERS:
            raise DataError(
                Problem(f"the input is of {values.dtype}", expected="an array of numbers")
            )
        values = np.array(values, np.float32, order="C")
        shift = np.atleast_1d(np.asarray(mean, np.float32)).ravel()
        if shift.any():
            if values.ndim != 4:
                raise DataError("a mean needs an input of four axes (N, C, H, W)")
            parts = np.zeros(max(4, values.shape[1]), np.float32)
            parts[: len(shift)] = shift[: len(parts)]
            values -= parts[: values.shape[1], None, None]
        if scalefactor != 1:
            values *= np.float32(scalefactor)
        slot = self._slots.get(name)
        if slot is not None and slot.shape == values.shape:
            slot[...] = values
            return False
        self.given[name or names[0]] = values
        for key in ("", names[0]) if name in ("", names[0]) else (name,):
            self._slots[key] = values
        return True
