"""Updates on tensors: what the solver's rules compute with where a device has the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from caffelite.blob import Array
from caffelite.engines.torch.device import CPU, Place
from caffelite.engines.torch.params import twin_of
from caffelite.plan.params import Param
from caffelite.run.arena import Arena
from caffelite.run.session import Vectors


class TensorParameters:
    """What an update changes: an arena's values and gradients where the net runs."""

    def __init__(self, arena: Arena, place: Place = CPU) -> None:
        self._arena, self._twin = arena, twin_of(arena, place)
        self.params: Sequence[Param] = arena.params
        self.slices: Sequence[slice] = arena.slices

    @property
    def data(self) -> Tensor:
        """The values."""
        self._twin.send()
        self._twin.written()
        return self._twin.data

    @property
    def diff(self) -> Tensor:
        """The gradients; zeros that a clear left to be written are written."""
        if self._arena.cleared:
            self._twin.fetch()
            self._arena.settle()
        self._twin.send()
        self._twin.written()
        return self._twin.diff


def vectors_of(arena: Arena, place: Place) -> Vectors:
    """The parameters as tensors: an update is then a few operations over each whole vector."""
    dtype = torch.float32 if arena.dtype.itemsize == 4 else torch.float64
    number = partial(torch.tensor, dtype=dtype, device=place.device)
    whole = max(1, len(arena.data))
    return Vectors(torch, number, TensorParameters(arena, place), whole, _to_host)


def _to_host(vector: Tensor) -> Array:
    array: Array = vector.cpu().numpy()
    return array
