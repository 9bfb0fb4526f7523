"""Updates on tensors: the solver's own rules, with PyTorch's functions for NumPy's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.device import CPU, Place
from caffelite.engines.torch.params import twin_of
from caffelite.plan.params import Param
from caffelite.run.arena import Arena
from caffelite.schema.solver import SolverParameter
from caffelite.solver.rules import Rule


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


def tensor_rule(
    cls: type[Rule], param: SolverParameter, dtype: torch.dtype, place: Place = CPU
) -> Rule:
    """The rule `cls` on tensors."""

    def number(value: float) -> Tensor:
        return torch.tensor(value, dtype=dtype, device=place.device)

    return cls(param, number, torch)
