"""Layers whose tops have as many rows as the layer finds: detections, proposals, samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer


class FindingLayer(Layer):
    """A layer that knows the shapes of its tops only once it has their values: `find` gives them,
    once a pass. No gradient goes back.

    A forward pass that does not come through `reshape_to` finds for itself."""

    dynamic = True
    backward_reads = ()
    _found: Sequence[Array] | None = None

    def find(self, bottom: Arrays) -> Sequence[Array]:
        """The values of the tops, in the tops' shapes; more than there are tops are passed over."""
        raise NotImplementedError

    def propagates(self, index: int) -> bool:
        return False

    def reshape_to(self, bottom: Arrays) -> list[Shape]:
        self._found = self.find(bottom)
        return [values.shape for values in self._found][: len(self.spec.top)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        found = self.find(bottom) if self._found is None else self._found
        self._found = None
        for y, values in zip(top, found):
            np.copyto(y, values)


def thinned(count: int, apart: Callable[[int, Array], Array], most: int | None = None) -> list[int]:
    """Which of `count` boxes, best first, are left if each removes those behind it that are not
    `apart` from it: apart(box, others) says which of the others stay. At most so many."""
    kept: list[int] = []
    left = np.arange(count)
    while left.size and (most is None or len(kept) < most):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        left = left[apart(best, left)]
    return kept


def shared(box: Array, others: Array, of: str) -> Array:
    """How much of each of `others` (R, 4 or more) a better box has: intersection over union (IOU),
    over the smaller (IOMU), over the better (IOFU). A box of x1 to x2 is x2 - x1 + 1 wide, and one
    that ends before it starts shares nothing, as in Cascade R-CNN's fork."""
    sides = np.minimum(box[2:4], others[:, 2:4]) - np.maximum(box[:2], others[:, :2])
    # in the fork boxes that share one row have nothing in common, one column counts
    meets = (sides[:, 0] >= 0) & (sides[:, 1] > 0)
    both = np.where(meets, np.prod(sides + 1, 1), 0)
    area = np.prod(box[2:4] - box[:2] + 1)
    areas = np.prod(others[:, 2:4] - others[:, :2] + 1, 1)
    whole = {
        "IOU": area + areas - both,
        "IOMU": np.minimum(area, areas),
        "IOFU": np.full(len(others), area),
    }[of]
    result: Array = both / np.where(meets, whole, 1)
    return result
