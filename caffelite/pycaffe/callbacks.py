"""Callbacks before and after each layer of a pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from caffelite.run.executor import Part
from caffelite.run.program import Add, Backward, Forward, Program

Callback = Callable[[int], object]


class Callbacks:
    """What is called with a layer's number, before and after its part in a pass."""

    def __init__(self) -> None:
        self.before: dict[str, list[Callback]] = {"forward": [], "backward": []}
        self.after: dict[str, list[Callback]] = {"forward": [], "backward": []}

    def run(self, part: Part, program: Program, step: Callable[[int], None]) -> None:
        """Run a pass layer by layer (`executor.Around`). A layer without a step of its own, filled
        from outside or without a gradient, has its callbacks too."""
        direction, first, last = part
        layers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        owners = _owners(program, last)
        at = 0
        for layer in layers:
            for call in self.before[direction]:
                call(layer)
            while at < len(owners) and owners[at] == layer:
                step(at)
                at += 1
            for call in self.after[direction]:
                call(layer)


def _owners(program: Program, last: int) -> Sequence[int]:
    """For each step the layer that it belongs to: what is prepared goes with the layer that
    follows, what is added with the one before."""
    owners: list[int | None] = []
    for step in program:
        if isinstance(step, (Forward, Backward)):
            owners.append(step.node.index)
        else:
            owners.append(owners[-1] if isinstance(step, Add) and owners else None)
    following = last
    for at in reversed(range(len(owners))):
        following = owners[at] = following if (own := owners[at]) is None else own
    return [last if owner is None else owner for owner in owners]
