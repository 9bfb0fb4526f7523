"""Watch: have the parameters changed since a model was made of them?

Comparing hundreds of megabytes in every pass would cost more than some passes. So the arrays are
compared only when they may have been written: when somebody has looked at them since the last
comparison, or still holds one that he was given before. Who holds one is seen from the number of
references to the arrays. Where that cannot be known (another net uses the parameters too), they
are compared in every pass.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from caffelite.blob import Array, Blob
from caffelite.layers.base import Layer
from caffelite.run.arena import Arena, ParamBlob

BLOCK = 1 << 16
"""So many values are compared at a time: they stay in the cache."""


class Watch:
    """The parameters of one net. `stamp` counts the changes that have been seen."""

    def __init__(self, arena: Arena, layers: Sequence[Layer]) -> None:
        self.stamp = 0
        self._arena = weakref.ref(arena)  # the arena knows this watch: no circle
        own = [b for blobs in arena.blobs for b in blobs]
        homes = [b.home.arena if isinstance(b, ParamBlob) else arena for b in own]
        self._lent: list[Blob] = [b for b, home in zip(own, homes) if home is not arena]
        self._blobs = [b for b, home in zip(own, homes) if home is arena]
        self._copy: Array | None = None
        """The parameters as they were when somebody looked; None: nobody has, or not known."""
        self._known = False
        """Has there been a pass?"""
        self._lent_copies = [b.data.copy() for b in self._lent]
        self._free: list[int] | None = None
        """The numbers of references where nobody outside of the net has one; None: not known."""
        self._hook = self._look
        self._looked = not self._set_watcher(None)

    def pause(self) -> bool:
        """Look away while layers take the arrays that they hold; no, if somebody else may have one
        already. `ready` ends it."""
        if not self.held:
            self._set_watcher(None)
        return not self.held

    def ready(self) -> None:
        """All layers have taken the arrays that they hold, and nobody else has had a chance."""
        self._set_watcher(self._hook)
        self._free = self._counts()
        self._looked, self._copy = False, None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within it arrays are looked at, but neither written nor kept."""
        watched = self._set_watcher(None)
        try:
            yield
        finally:
            if watched:
                self._set_watcher(self._hook)

    def _set_watcher(self, watcher: Callable[[], None] | None) -> bool:
        """Set the arena's watcher, unless it is somebody else's."""
        arena = self._arena()
        ours = arena is not None and arena.watcher in (None, self._hook)
        if ours and arena is not None:
            arena.watcher = watcher
        return ours

    @property
    def held(self) -> bool:
        """May somebody have an array of the parameters?"""
        return self._looked or self._free is None

    @property
    def quiet(self) -> bool:
        """Can nobody have written since the last pass? Then `update` would have nothing to do."""
        if self._looked or self._free is None or self._lent:
            return False
        arena = self._arena()
        return arena is not None and arena.watcher is self._hook

    def update(self) -> None:
        """Before a pass: count a change, if there was one."""
        arena = self._arena()
        assert arena is not None
        for blob, copy in zip(self._lent, self._lent_copies):
            if _changed(blob.data, copy):
                np.copyto(copy, blob.data)
                self.stamp += 1
        if arena.watcher is not self._hook:  # another watcher sees who looks
            data = arena.data
        elif not self.held:
            self._known = True
            return
        else:
            data = arena._data
        changed = self._copy is None or _changed(data, self._copy)
        self.stamp += changed
        del data  # it would count as held
        self._known = True
        if arena.watcher is self._hook and self._free == self._counts():
            self._looked, self._copy = False, None
        elif changed:
            self._copy = arena._data.copy()

    def _look(self) -> None:
        """Somebody is about to be given an array."""
        arena = self._arena()
        if not self._looked and arena is not None:
            self._looked = True
            self._copy = arena._data.copy() if self._known else None

    def _counts(self) -> list[int]:
        arena = self._arena()
        assert arena is not None
        return [sys.getrefcount(arena._data), *(sys.getrefcount(b._data) for b in self._blobs)]


def _changed(a: Array, b: Array) -> bool:
    """Do they differ in a bit? (NaN is the same as NaN, 0 not as -0.)"""
    x, y = a.reshape(-1).view(np.int32), b.reshape(-1).view(np.int32)
    return any(
        not np.array_equal(x[i : i + BLOCK], y[i : i + BLOCK]) for i in range(0, x.size, BLOCK)
    )
