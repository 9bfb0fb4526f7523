"""Keeping: which blobs keep their values after a forward pass, and which may share memory.

In training all do, since the backward pass needs them. In a test net only some have to: what is
filled from outside or comes from data, the outputs, and what somebody has asked for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from caffelite.blob import Array
from caffelite.errors import NetError, Problem
from caffelite.plan.build import Plan
from caffelite.plan.graph import Version
from caffelite.run.liveness import Slots, share_memory
from caffelite.run.memory import NO_SLOTS
from caffelite.run.placement import Placement
from caffelite.run.program import Forward, Program
from caffelite.schema.common import Phase

SMALL = 1 << 14
"""Blobs of at most so many bytes are kept: sharing them saves nothing."""


@dataclass
class Keeping:
    """What is to be kept of one net."""

    plan: Plan
    placement: Placement
    asked: set[Version] = field(default_factory=set)
    """Versions that somebody has asked for."""
    everything: bool = False

    def __post_init__(self) -> None:
        if self.plan.context.phase != Phase.TEST or any(x.dynamic for x in self.plan.layers):
            self.everything = True

    def moved(self, plan: Plan, placement: Placement) -> Keeping:
        """The same for the net in other shapes."""
        return Keeping(plan, placement, self.asked, self.everything)

    def slots(self, program: Program) -> Slots:
        """Where the blobs lie that share memory."""
        if self.everything:
            return NO_SLOTS
        return share_memory(program, self.placement.owner, self._size, self._kept())

    def _size(self, version: Version) -> int:
        itemsize: int = np.dtype(self.plan.context.dtype).itemsize
        return math.prod(self.plan.shapes[version]) * itemsize

    def _kept(self) -> set[Version]:
        """Owners that must not share: inputs and data, outputs, what was asked for, what cannot
        be computed again, losses, and small ones."""
        owner = self.placement.owner
        kept = {owner[v] for v in self.asked}
        kept.update(owner[self.plan.graph.blobs[name]] for name in self.plan.graph.outputs)
        kept.update(owner[v] for v in self.plan.loss_weights)
        for node, layer in zip(self.plan.graph.nodes, self.plan.layers):
            if layer.source or layer.lasting or not layer.repeatable:
                kept.update(owner[v] for v in node.tops)
        kept.update(v for v, o in owner.items() if v is o and self._size(v) <= SMALL)
        return kept

    def again(self, program: Program, lost: Collection[Version]) -> Program:
        """The steps that compute anew what was not kept, the data of the owners `lost`; and the
        outputs, so that they can be held against what they were."""
        owner = self.placement.owner
        outputs = {owner[self.plan.graph.blobs[name]] for name in self.plan.graph.outputs}
        chains: dict[Version, bool] = {}
        for node in self.plan.graph.nodes:
            layer = self.plan.layers[node.index]
            for v in node.tops:
                fixed = layer.source or not layer.repeatable
                chains[owner[v]] = chains.get(owner[v], True) and not fixed
        wanted = {o for o, free in chains.items() if o in lost or (free and o in outputs)}
        return tuple(
            step
            for step in program
            if isinstance(step, Forward) and any(owner[v.version] in wanted for v in step.tops)
        )


def restore(shown: Sequence[Array], before: Sequence[Array]) -> None:
    """What a second run of a pass computed gives way to what the first one had. Raises NetError
    where they differ by more than rounding: then inputs or parameters are not the same."""
    for new, old in zip(shown, before):
        same = close(new, old)  # fused kernels may round another way
        np.copyto(new, old)
        if not same:
            raise NetError(
                Problem(
                    "the blob was not kept by the last pass, and inputs or parameters have "
                    "changed since then",
                    hint="run forward again; from now on this net keeps all of its blobs",
                )
            )


def close(new: Array, old: Array) -> bool:
    """Are these the same values, but for rounding?"""
    scale = float(np.abs(old[np.isfinite(old)]).max(initial=0))
    return np.allclose(new, old, rtol=0, atol=1e-4 * scale, equal_nan=True)
