"""Feed: where batches come from, and Order: which sample is next.

A feed fills arrays with one batch after the other, without end. Between two batches it can say
where it stands, in values that JSON holds, and go back there: that is how a resumed run sees the
samples that an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from caffelite.blob import Array
from caffelite.errors import DataError


class Feed(Protocol):
    """A source of batches."""

    def fill(self, out: Sequence[Array]) -> None:
        """Write the next batch: data, then (if there is a second array) labels."""

    def state(self) -> dict[str, Any]:
        """Where it stands between two batches."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state()`."""


class Order:
    """The endless order in which samples are used: epoch after epoch, each once.

    Samples lie in groups (files) of `counts`; a shuffle changes the order of the groups and that
    within each, but keeps groups together, so that only one needs to be in memory. The generator
    belongs to this order alone.
    """

    def __init__(self, counts: Sequence[int], shuffle: bool, rng: np.random.Generator) -> None:
        self.count = sum(counts)
        self.shuffle = shuffle
        self._starts = np.cumsum([0, *counts])
        self._rng = rng
        self._at = 0
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._began = dict(self._rng.bit_generator.state)
        if not self.shuffle:
            self._epoch = np.arange(self.count)
            return
        groups = len(self._starts) - 1
        self._epoch = np.concatenate(
            [
                self._starts[g] + self._rng.permutation(self._starts[g + 1] - self._starts[g])
                for g in (self._rng.permutation(groups) if groups > 1 else range(1))
            ]
        )

    def take(self, n: int) -> np.ndarray:
        """The indices of the next n samples; over the end of an epoch into the next."""
        parts = []
        while n > 0:
            if self._at == self.count:
                self._at = 0
                self._begin_epoch()
            part = self._epoch[self._at : self._at + n]
            parts.append(part)
            self._at += len(part)
            n -= len(part)
        return parts[0] if len(parts) == 1 else np.concatenate([self._epoch[:0], *parts])

    @staticmethod
    def start(rng: np.random.Generator) -> dict[str, Any]:
        """The state that an order which is yet to be made will begin with."""
        return {"at": 0, "epoch": dict(rng.bit_generator.state)}

    def state(self) -> dict[str, Any]:
        return {"at": self._at, "epoch": self._began}

    def restore(self, state: dict[str, Any]) -> None:
        if not 0 <= state["at"] <= self.count:
            raise DataError(
                f"the snapshot was made after {state['at']} samples of an epoch, but there are "
                f"only {self.count}: the data is not the same"
            )
        self._rng.bit_generator.state = state["epoch"]
        self._begin_epoch()
        self._at = state["at"]
