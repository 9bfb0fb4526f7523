"""How an update goes through the parameters: in blocks that fit the cache.

A rule makes several passes over what it is given. Over a block, all but the first of them find
their values in the cache, and the only scratch is as long as a block. Parameters side by side
whose multipliers are equal are one stretch; each of its blocks needs only two numbers for them.
Short stretches (biases, or all of a small net) go together, with one multiplier for each value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from caffelite.plan.params import Param

BLOCK = 1 << 16
"""Values in a block: 256 kB of float32 for each of the four or five vectors that a rule reads.
Between half and twice as many the time is the same."""
SHORT = BLOCK // 8
"""Stretches below this many values go together with their neighbours."""


@dataclass(frozen=True)
class Stretch:
    """Parameters `start` to `stop` of the arena, and their multipliers."""

    start: int
    stop: int
    lr: float
    decay: float

    @property
    def size(self) -> int:
        return self.stop - self.start


def stretches(params: Sequence[Param], slices: Sequence[slice]) -> list[Stretch]:
    """The parameters in order, neighbours of equal multipliers as one."""
    found: list[Stretch] = []
    for param, where in zip(params, slices):
        start, lr, decay = where.start, param.lr_mult, param.decay_mult
        if found and (found[-1].lr, found[-1].decay) == (lr, decay):
            start = found.pop().start
        found.append(Stretch(start, where.stop, lr, decay))
    return found


def blocks(all_stretches: Sequence[Stretch], most: int = BLOCK) -> Iterator[list[Stretch]]:
    """The stretches cut into blocks of at most `most` values: a block is a part of one stretch, or
    several whole stretches, all of them short."""
    together: list[Stretch] = []
    for stretch in all_stretches:
        short = stretch.size < min(SHORT, most)
        if together and not (short and stretch.stop - together[0].start <= most):
            yield together
            together = []
        if short:
            together.append(stretch)
            continue
        for start in range(stretch.start, stretch.stop, most):
            stop = min(start + most, stretch.stop)
            yield [Stretch(start, stop, stretch.lr, stretch.decay)]
    if together:
        yield together
