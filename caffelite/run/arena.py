"""Arena: all parameters of a net in one array, all their gradients in another.

An update, a clip or a sum over machines is then a handful of operations on two long vectors,
however many parameters there are; each parameter is a view, shaped as its layer wants it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array, Blob
from caffelite.fillers import fill
from caffelite.plan.build import Plan
from caffelite.plan.params import Param
from caffelite.streams import Streams

ALIGN = 16
"""Parameters start at multiples of this many values (64 bytes of float32), as vector units like
it. The gaps between them are zero and stay so."""


Lender = Mapping[str, Sequence[Blob]]
"""The parameters of another net, by layer name."""


class Arena:
    """The parameters of a plan, allocated, or shared with another net's; `fill` gives them their
    first values.

    `share` lends parameters to the layers of the same names, as a test net uses those of the net
    in training."""

    def __init__(self, plan: Plan, dtype: np.dtype, share: Lender | None = None) -> None:
        lent = _lent(plan, share)
        self.params = [p for p in plan.params if p not in lent]
        """The parameters that are here, in order."""
        self.slices: list[slice] = []
        end = 0
        for param in self.params:
            size = math.prod(param.shape)
            self.slices.append(slice(end, end + size))
            end += -(-size // ALIGN) * ALIGN
        self.watcher: Callable[[], None] | None = None
        """Called before anyone looks at the arrays; an engine that keeps them elsewhere sets it."""
        self.cleared = False
        """Have the gradients been cleared, though they still hold old values? The next backward
        pass writes them, so that they need not be set to zero before."""
        self._data: Array = np.zeros(end, dtype)
        self._diff: Array | None = None
        self._views: dict[Param, Blob] = {}
        for param, where in zip(self.params, self.slices):
            self._views[param] = ParamBlob(self, where, self._data[where].reshape(param.shape))
        self._views.update(lent)
        self.blobs: list[list[Blob]] = []
        for uses in plan.uses:
            self.blobs.append([self._as_shaped(use.param, use.shape) for use in uses])
        self.lenders = {b.arena for b in lent.values() if isinstance(b, ParamBlob)}
        """The arenas that other nets' parameters lie in."""

    def fill(self, streams: Streams, but: Container[Param] = ()) -> None:
        """What the fillers say, for all parameters but those that have values already. The arena is
        new and all else in it zero."""
        for param, where in zip(self.params, self.slices):
            if param in but:
                continue
            # the stream's name has no phase in it: a net starts alike in training and testing
            rng = streams.fresh(f"fill/{param.layer.name}/{param.index}")
            view = self._data[where].reshape(param.shape)
            fill(view, param.declared.filler, rng, param.layer.fail, zeroed=True)

    def _as_shaped(self, param: Param, shape: tuple[int, ...]) -> Blob:
        blob = self._views[param]
        if blob.shape == shape:
            return blob
        assert isinstance(blob, ParamBlob)
        return ParamBlob(blob.arena, blob.where, blob.data.reshape(shape))

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._data.dtype

    @property
    def data(self) -> Array:
        """The values of all parameters."""
        if self.watcher is not None:
            self.watcher()
        return self._data

    @property
    def diff(self) -> Array:
        """The gradients; memory is taken once they are first asked for."""
        if self.watcher is not None:
            self.watcher()
        self.settle()
        return self.raw_diff

    @property
    def raw_diff(self) -> Array:
        """The gradients as they lie in memory, cleared or not."""
        if self._diff is None:
            self._diff = np.zeros_like(self._data)
        return self._diff

    def clear_diff(self) -> None:
        """From here on all gradients count as zero."""
        self.cleared = True

    def settle(self) -> None:
        """Write the zeros that a clear left to be written."""
        if self.cleared:
            self.cleared = False
            if self.watcher is not None:
                self.watcher()
            self.raw_diff.fill(0)

    def split(self, vector: Array) -> list[Array]:
        """A vector over the arena as one array for each parameter, views."""
        return [vector[w].reshape(p.shape) for w, p in zip(self.slices, self.params)]


class ParamBlob(Blob):
    """A parameter: its values and gradient lie in the arena. Passes add to the gradient."""

    __slots__ = ("_home", "arena", "where")

    def __init__(self, arena: Arena, where: slice, data: Array) -> None:
        super().__init__(data)
        self.arena, self.where = arena, where
        self._home: ParamBlob | None = None

    @property
    def home(self) -> ParamBlob:
        """Where the values lie: here, or at the parameter of another net."""
        return self._home or self

    def lie_in(self, other: ParamBlob) -> None:
        """From now on the values are those of another parameter, of as many values; the gradient
        stays its own. The net must start anew (`Executor.restart`)."""
        if other.home is self.home:
            return
        self._home = other.home
        self._data = self.home._data.reshape(self.shape)
        self.arena.lenders.add(self.home.arena)

    @property
    def data(self) -> Array:
        """The values."""
        if self.home.arena.watcher is not None:
            self.home.arena.watcher()
        return self._data

    @data.setter
    def data(self, values: object) -> None:
        self._refuse("data")

    @property
    def diff(self) -> Array:
        """The gradient of the objective with respect to `data`."""
        arena = self.arena
        if arena.watcher is not None:
            arena.watcher()
        if arena.cleared:
            arena.settle()
        return self.raw_diff

    @diff.setter
    def diff(self, values: object) -> None:
        self._refuse("diff")

    @property
    def raw_diff(self) -> Array:
        if self._diff is None:
            self._diff = self.arena.raw_diff[self.where].reshape(self.shape)
        return self._diff


def _lent(plan: Plan, share: Lender | None) -> dict[Param, Blob]:
    if share is None:
        return {}
    lent: dict[Param, Any] = {}
    for param in plan.params:
        blobs = share.get(param.layer.name, [])
        if param.index >= len(blobs):
            continue
        blob = blobs[param.index]
        if blob.shape != param.shape:
            param.layer.fail(
                f"parameter {param.index} is {param.shape} here but {blob.shape} in the "
                "training net, whose parameters it uses",
                "name",
            )
        lent[param] = blob
    return lent
