"""Bounds: which numbers a field may hold, declared with the field.

    num_output: int = field(1, "uint32", least=1)

Text is held to them when it is bound, at the value's place. A message that was built in Python or
read from a binary file is held to them by `out_of_bounds`, when a layer or a solver is made of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caffelite.errors import Problem

if TYPE_CHECKING:
    from caffelite.schema.message import Message


@dataclass(frozen=True)
class Bounds:
    """least ≤ value ≤ most and above < value < below; None: no such bound. NaN is never within.
    Whole numbers have `least` and `most`."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def allow(self, value: float) -> bool:
        """Is the value within?"""
        return (
            value == value
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """For people: "1 or more", "from 1 to 5", "0 or more, and below 1", "a finite number"."""
        if self.least is not None and self.most is not None:
            return f"from {self.least:g} to {self.most:g}"
        parts = []
        if self.least is not None:
            parts.append(f"{self.least:g} or more")
        if self.above is not None and math.isfinite(self.above):
            parts.append(f"above {self.above:g}")
        if self.most is not None:
            parts.append(f"at most {self.most:g}")
        if self.below is not None:
            parts.append("finite" if math.isinf(self.below) else f"below {self.below:g}")
        return ", and ".join(parts) if parts != ["finite"] else "a finite number"

    def __bool__(self) -> bool:
        parts = (self.least, self.most, self.above, self.below)
        return self is not FREE and parts != (None, None, None, None)


FREE = Bounds()
"""No bounds."""


def out_of_bounds(message: Message) -> Iterator[Problem]:
    """A problem for each value that is out of its field's bounds, in the message and in those it
    holds."""
    specs = message.specs
    for name, value in message._values.items():
        spec = specs[name]
        inner = spec.message_type is not None
        if not inner and not spec.bounds:
            continue
        for i, item in enumerate(value if spec.repeated else [value]):
            if inner:
                if item._values:
                    yield from out_of_bounds(item)
            elif not spec.bounds.allow(item):
                yield refusal(name, item, message.span(name, i), spec.bounds)


def refusal(name: str, shown: Any, span: Any, bounds: Bounds) -> Problem:
    """That a value is out of bounds: where, what was found, what is expected."""
    shown = f"{shown:g}" if isinstance(shown, float) else shown
    return Problem(f"{name} cannot be {shown}", span, str(bounds))
