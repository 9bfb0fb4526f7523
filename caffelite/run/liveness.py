"""Liveness: which blobs of a forward pass may lie in the same memory, one after the other.

In a pass that is not followed by a backward pass, a blob is of no use once its last reader has
run. Blobs whose lives do not overlap then lie in the same bytes of one buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from caffelite.plan.graph import Version
from caffelite.run.program import DATA, Forward, Program

Stretch = tuple[int, int]
"""The first byte and the one behind the last."""

ALIGN = 64
"""Blobs start at multiples of so many bytes, as vector units like it."""


@dataclass(frozen=True)
class Slots:
    """Where the blobs lie that share memory: the first byte of each owner in the buffer, and the
    buffer's size."""

    slot: Mapping[Version, int]
    size: int
    taken: Mapping[int, Sequence[Stretch]] = field(default_factory=dict)
    """What of the buffer is in use while a layer runs, by the layer's index."""

    def room(self, layers: Iterable[int]) -> Stretch:
        """The largest stretch of the buffer that is free while these layers run."""
        end, best = 0, (0, 0)
        for low, high in [*sorted(s for i in layers for s in self.taken[i]), (self.size, 0)]:
            best = max(best, (end, low), key=lambda s: s[1] - s[0])
            end = max(end, high)
        return best


@dataclass
class _Life:
    begin: int
    end: int


def share_memory(
    program: Program,
    owner: Mapping[Version, Version],
    size: Callable[[Version], int],
    keep: Collection[Version],
) -> Slots:
    """Give the data of each owner that is not to be kept a place in the buffer.

    `size` gives the bytes of an owner's data. The largest are placed first; each lies as far in
    front as those leave room that live at the same time."""
    lives: dict[Version, _Life] = {}
    for at, step in enumerate(program):
        for value in (*step.reads, *step.writes):
            if value.of == DATA:
                life = lives.setdefault(owner[value.version], _Life(at, at))
                life.end = at
    slot: dict[Version, int] = {}
    there: list[list[Stretch]] = [[] for _ in program]  # at each step
    need = {version: _aligned(size(version)) for version in lives if version not in keep}
    for version in sorted(need, key=lambda v: -need[v]):
        life, start = lives[version], 0
        steps = range(life.begin, life.end + 1)
        for low, high in sorted({place for at in steps for place in there[at]}):
            if low - start >= need[version]:
                break
            start = max(start, high)
        slot[version] = start
        for at in steps:
            there[at].append((start, start + need[version]))
    taken = {s.node.index: places for s, places in zip(program, there) if isinstance(s, Forward)}
    return Slots(slot, max((slot[v] + need[v] for v in slot), default=0), taken)


def _aligned(size: int) -> int:
    return -(-max(1, size) // ALIGN) * ALIGN
