"""Memory: the host arrays of a net's blobs and of their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.plan.build import Plan
from caffelite.plan.graph import Version
from caffelite.run.liveness import Slots
from caffelite.run.placement import Placement
from caffelite.run.program import DATA, DIFF, Value

NO_SLOTS = Slots({}, 0)


class Memory:
    """Arrays for values; each is made when it is first asked for.

    Versions that `placement` puts in one place have one array. Data that has a slot lies there
    in a buffer; its values last only as long as the pass needs them."""

    def __init__(
        self,
        placement: Placement,
        dtype: np.dtype,
        slots: Slots = NO_SLOTS,
        old: Memory | None = None,
    ) -> None:
        self.placement, self.dtype = placement, dtype
        self.slot: dict[Version, int] = dict(slots.slot)
        """Where in the buffer the data lies that shares memory, by owner."""
        self.shared = slots.size
        """The buffer's bytes."""
        self._slots = slots
        self._plan: Plan = placement.plan
        self._arrays: dict[tuple[Version, str], Array] = {}
        self._scratch: dict[tuple[Shape, int], Array] = {}
        self._buffer: Array | None = None
        if old is not None:
            self._take_over(old)

    def _take_over(self, old: Memory) -> None:
        """Go on with the arrays of the memory before, as far as their shapes stand."""
        for (version, of), array in old._arrays.items():
            fits = array.shape == self._plan.shapes[version]
            in_slot = of == DATA and (version in self.slot or version in old.slot)
            if fits and not in_slot and self.placement.owner[version] is version:
                self._arrays[version, of] = array

    def array(self, value: Value) -> Array:
        """The array of a value; zeros at first, and a loss's gradient is its weight."""
        version, of, share = value
        owner = self.placement.owner[version]
        if share:
            return self._scratch_like(self._plan.shapes[owner], share)
        found = self._arrays.get((owner, of))
        if found is None:
            found = self._arrays[owner, of] = self._make(owner, of)
        return found

    @property
    def apart(self) -> int:
        """Bytes of the data that does not share memory."""
        own = {v for v in self.placement.owner.values() if v not in self.slot}
        return sum(math.prod(self._plan.shapes[v]) for v in own) * self.dtype.itemsize

    def room(self, layers: Iterable[int]) -> Array:
        """Bytes of the buffer that are free while these layers of a forward pass run."""
        low, high = self._slots.room(layers)
        return self._bytes()[low:high]

    def _bytes(self) -> Array:
        if self._buffer is None:
            self._buffer = np.zeros(self.shared, np.uint8)
        return self._buffer

    def take_out(self, owner: Version) -> None:
        """Let this data lie in memory of its own; a pass that was bound before must not run."""
        if self.slot.pop(owner, None) is not None:
            self._arrays.pop((owner, DATA), None)

    def replace(self, value: Value, array: Array) -> None:
        """Let a value lie in another array."""
        self._arrays[self.placement.owner[value.version], value.of] = array

    def _make(self, owner: Version, of: str) -> Array:
        shape = self._plan.shapes[owner]
        if of == DATA and (slot := self.slot.get(owner)) is not None:
            end = slot + math.prod(shape) * self.dtype.itemsize
            return self._bytes()[slot:end].view(self.dtype).reshape(shape)
        array = np.zeros(shape, self.dtype)
        if of == DIFF and (weight := self._plan.loss_weights.get(owner)):
            array.fill(weight)
        return array

    def _scratch_like(self, shape: Shape, number: int) -> Array:
        key = (shape, number)
        if key not in self._scratch:
            self._scratch[key] = np.empty(shape, self.dtype)
        return self._scratch[key]
