"""Arena: all parameters of a net in one array, all their gradients in another.

An update, a clip or a sum over machines is then a handful of operations on two long vectors,
however many parameters there are; each parameter is a view, shaped as its layer wants it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array, Blob
from caffelite.fillers import fill
from caffelite.plan.build import Param, Plan
from caffelite.streams import Streams

ALIGN = 16
"""Parameters start at multiples of this many values (64 bytes of float32), as vector units like
it. The gaps between them are zero and stay so."""


Lender = Mapping[str, Sequence[Blob]]
"""The parameters of another net, by layer name."""


class Arena:
    """The parameters of a plan, allocated and filled, or shared with another net's.

    `share` lends parameters to the layers of the same names, as a test net uses those of the net
    in training."""

    def __init__(
        self, plan: Plan, dtype: np.dtype, streams: Streams, share: Lender | None = None
    ) -> None:
        lent = _lent(plan, share)
        self.params = [p for p in plan.params if p not in lent]
        """The parameters that are here, in order."""
        self.slices: list[slice] = []
        end = 0
        for param in self.params:
            size = math.prod(param.shape)
            self.slices.append(slice(end, end + size))
            end += -(-size // ALIGN) * ALIGN
        self.data: Array = np.zeros(end, dtype)
        self._diff: Array | None = None
        self._views: dict[Param, Blob] = {}
        for param, where in zip(self.params, self.slices):
            view = self.data[where].reshape(param.shape)
            # the stream's name has no phase in it: a net starts alike in training and testing
            rng = streams.fresh(f"fill/{param.layer.name}/{param.index}")
            fill(view, param.declared.filler, rng, param.layer.fail)
            self._views[param] = ParamBlob(self, where, view)
        self._views.update(lent)
        self.blobs: list[list[Blob]] = []
        for pairs in plan.layer_params:
            self.blobs.append([self._as_shaped(param, shape) for param, shape in pairs])

    def _as_shaped(self, param: Param, shape: tuple[int, ...]) -> Blob:
        blob = self._views[param]
        if blob.shape == shape:
            return blob
        assert isinstance(blob, ParamBlob)
        return ParamBlob(blob.arena, blob.where, blob.data.reshape(shape))

    @property
    def diff(self) -> Array:
        """The gradients; memory is taken once they are first asked for."""
        if self._diff is None:
            self._diff = np.zeros_like(self.data)
        return self._diff

    def clear_diff(self) -> None:
        """Zero all gradients."""
        self.diff.fill(0)

    def spread(self, values: list[float]) -> Array:
        """One value per parameter, written over the parameter's stretch of a new vector."""
        vector = np.zeros_like(self.data)
        for where, value in zip(self.slices, values):
            vector[where] = value
        return vector

    def split(self, vector: Array) -> list[Array]:
        """A vector over the arena as one array for each parameter, views."""
        return [vector[w].reshape(p.shape) for w, p in zip(self.slices, self.params)]


class ParamBlob(Blob):
    """A parameter: its values and gradient lie in the arena. Passes add to the gradient."""

    __slots__ = ("arena", "where")

    def __init__(self, arena: Arena, where: slice, data: Array) -> None:
        super().__init__(data)
        self.arena, self.where = arena, where

    def _new_diff(self) -> Array:
        return self.arena.diff[self.where].reshape(self.shape)


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
