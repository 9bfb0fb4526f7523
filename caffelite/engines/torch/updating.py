"""Updates on tensors: what the solver's rules compute with where a device has the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from caffelite.blob import Array
from caffelite.engines.torch.device import CPU, Place
from caffelite.engines.torch.graphs import Recorded, say
from caffelite.engines.torch.params import twin_of
from caffelite.plan.params import Param
from caffelite.run.arena import Arena
from caffelite.run.session import Bound, Vectors


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
    repeat = None if place.shares else partial(repeated, place)
    return Vectors(torch, number, TensorParameters(arena, place), whole, _to_host, repeat)


def repeated(place: Place, run: Bound, why_not: str | None) -> Bound:
    """`run`, recorded where the place records."""
    if place.graphs is None:
        return run
    if why_not is not None:
        say(f"the update is not captured as a CUDA graph: {why_not}")
        return run
    return Recorded(place.graphs, run, "the update")


def _to_host(vector: Tensor) -> Array:
    array: Array = vector.cpu().numpy()
    return array
