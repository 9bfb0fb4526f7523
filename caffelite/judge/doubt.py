"""Doubt: what is legal, and hardly meant."""

from __future__ import annotations

from dataclasses import dataclass

from caffelite.errors import Problem, Span


@dataclass(frozen=True)
class Doubt:
    """What was found and where, why it matters, and what to do about it."""

    message: str
    span: Span | None
    reason: str
    remedy: str
    name: str = ""
    """What it is switched off by; the rule's."""

    def problem(self, label: str = "warning: ") -> Problem:
        """As it is shown: like a mistake, with a label and the name."""
        hint = f"{self.reason}\n  {self.remedy}"
        return Problem(f"{label}{self.message} [{self.name}]", self.span, hint=hint)

    def __str__(self) -> str:
        return str(self.problem())
