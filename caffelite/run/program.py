"""A program: what a pass does, as a list of steps that can be read, rewritten and bound to memory.

A step names the values that it reads and writes; which arrays these are is decided later. Passes
over a program (`caffelite.run.placement`, `sums`, `liveness`, `fusing`) may change where values
lie and how steps are executed, never what `net.blobs` shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from caffelite.plan.graph import Node, Version

DATA, DIFF = "data", "diff"


class Value(NamedTuple):
    """What a step reads or writes: a version's data or its gradient ("diff").

    Where several layers read a version, the gradients of all but the first to run are written as
    `share` 1, 2, … and added to it at once: a share lives from one step to the next."""

    version: Version
    of: str = DATA
    share: int = 0


@dataclass(frozen=True, eq=False)
class Forward:
    """A layer's forward pass."""

    node: Node
    bottoms: tuple[Value, ...]
    tops: tuple[Value, ...]

    @property
    def reads(self) -> tuple[Value, ...]:
        return self.bottoms

    @property
    def writes(self) -> tuple[Value, ...]:
        return self.tops


@dataclass(frozen=True, eq=False)
class Backward:
    """A layer's backward pass. `reads` has of tops and bottoms only what the layer looks at."""

    node: Node
    tops: tuple[Value, ...]
    top_diffs: tuple[Value, ...]
    bottoms: tuple[Value, ...]
    bottom_diffs: tuple[Value | None, ...]
    reads: tuple[Value, ...] = field(default=())

    @property
    def writes(self) -> tuple[Value, ...]:
        return tuple(v for v in self.bottom_diffs if v is not None)


@dataclass(frozen=True)
class Fill:
    """Set all of a value to one number."""

    value: Value
    number: float

    @property
    def reads(self) -> tuple[Value, ...]:
        return ()

    @property
    def writes(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True)
class Add:
    """Add a share to a gradient."""

    to: Value
    share: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        return (self.to, self.share)

    @property
    def writes(self) -> tuple[Value, ...]:
        return (self.to,)


@dataclass(frozen=True)
class Copy:
    """Copy one value to another of the same shape."""

    to: Value
    source: Value

    @property
    def reads(self) -> tuple[Value, ...]:
        return (self.source,)

    @property
    def writes(self) -> tuple[Value, ...]:
        return (self.to,)


Step = Union[Forward, Backward, Fill, Add, Copy]
Program = tuple[Step, ...]


def data_of(versions: Iterable[Version]) -> tuple[Value, ...]:
    """The data of versions."""
    return tuple(Value(v, DATA) for v in versions)


def diff_of(versions: Iterable[Version]) -> tuple[Value, ...]:
    """The gradients of versions."""
    return tuple(Value(v, DIFF) for v in versions)
