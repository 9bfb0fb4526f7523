"""Liveness: which blobs of a forward pass may lie in the same memory, one after the other.

In a pass that is not followed by a backward pass, a blob is of no use once its last reader has
run. Blobs whose lives do not overlap then share a slot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from caffelite.plan.graph import Version
from caffelite.run.program import DATA, Program


@dataclass(frozen=True)
class Slots:
    """Where the blobs lie that share memory: the slot of each owner, and the slots' sizes."""

    slot: Mapping[Version, int]
    sizes: tuple[int, ...]


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
    """Give the data of each owner that is not to be kept a slot.

    `size` gives the bytes of an owner's data. Blobs are taken in the order in which they are
    written; each gets the free slot that fits best, or the largest free one, which grows."""
    lives: dict[Version, _Life] = {}
    for at, step in enumerate(program):
        for value in (*step.reads, *step.writes):
            if value.of == DATA:
                life = lives.setdefault(owner[value.version], _Life(at, at))
                life.end = at
    ending: dict[int, list[Version]] = {}
    for version, life in lives.items():
        ending.setdefault(life.end, []).append(version)
    slot: dict[Version, int] = {}
    sizes: list[int] = []
    free: list[int] = []
    beginning: dict[int, list[Version]] = {}
    for version, life in lives.items():
        if version not in keep:
            beginning.setdefault(life.begin, []).append(version)
    for at in range(len(program)):
        for version in beginning.get(at, ()):
            need = size(version)
            chosen = _best_slot(free, sizes, need)
            if chosen is None:
                chosen = len(sizes)
                sizes.append(need)
            else:
                free.remove(chosen)
                sizes[chosen] = max(sizes[chosen], need)
            slot[version] = chosen
        free += [slot[v] for v in ending.get(at, ()) if v in slot]
    return Slots(slot, tuple(sizes))


def _best_slot(free: list[int], sizes: list[int], need: int) -> int | None:
    """The smallest free slot that is large enough, else the largest."""
    if not free:
        return None
    large_enough = [s for s in free if sizes[s] >= need]
    if large_enough:
        return min(large_enough, key=lambda s: sizes[s])
    return max(free, key=lambda s: sizes[s])
