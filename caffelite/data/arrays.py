"""Arrays that fit into memory, served in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.data.feed import Order
from caffelite.data.transform import Transformer
from caffelite.errors import DataError


class ArrayFeed:
    """Rows of arrays of one length. `load` gives the arrays, of the `shapes`, from the file `path`
    when the first batch is wanted; the first array goes through the transformer."""

    def __init__(
        self,
        path: str,
        load: Callable[[], Sequence[Array]],
        shapes: Sequence[Shape],
        shuffle: bool,
        rng: np.random.Generator,
        transformer: Transformer,
    ) -> None:
        self._path = path
        self._load, self._shapes, self._shuffle, self._rng = load, shapes, shuffle, rng
        self._transformer = transformer
        self._arrays: Sequence[Array] = ()
        self._order: Order | None = None
        self._restored: dict[str, Any] = {}

    def fill(self, out: Sequence[Array]) -> None:
        if self._order is None:
            self._order = self._begin()
        rows = self._order.take(len(out[0]))
        self._transformer.batch(self._arrays[0][rows], out[0])
        for target, values in zip(out[1:], self._arrays[1:]):
            np.copyto(target, values[rows], casting="unsafe")

    def _begin(self) -> Order:
        arrays = self._load()
        found = [array.shape for array in arrays]
        if found != list(self._shapes) or any(a.dtype.kind not in "fiub" for a in arrays):
            raise DataError(
                f'"{self._path}" has changed since the net was made: it holds {show(found)} '
                f"numbers, where {show(self._shapes)} were expected"
            )
        self._arrays = arrays
        order = Order([len(self._arrays[0])], self._shuffle, self._rng)
        if self._restored:
            order.restore(self._restored)
        return order

    def state(self) -> dict[str, Any]:
        if self._order is not None:
            order = self._order.state()
        else:
            order = self._restored or Order.start(self._rng)
        return {"order": order, "transform": self._transformer.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._order, self._restored = None, state["order"]
        self._transformer.restore(state["transform"])


def show(shapes: Sequence[Shape]) -> str:
    """Shapes for people: "100 x 3 and 100"."""
    return " and ".join(" x ".join(map(str, shape)) for shape in shapes)
