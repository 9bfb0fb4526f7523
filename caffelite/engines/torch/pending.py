"""Pending: a loss that the device may still be working at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


class Pending:
    """Σ weight · value / divisor: a number once it is read, which waits for the device. Before it
    is read `check` may refuse what the device has met."""

    __slots__ = ("_check", "_divisor", "_terms")

    def __init__(
        self,
        terms: Sequence[tuple[float, Tensor]],
        check: Callable[[], None],
        divisor: int = 1,
    ) -> None:
        self._terms, self._check, self._divisor = terms, check, divisor

    def __float__(self) -> float:
        self._check()
        total = 0.0
        for weight, value in self._terms:
            total += weight * float(value)
        return total / self._divisor

    def __add__(self, other: Pending) -> Pending:
        return Pending([*self._terms, *other._terms], self._check)

    def __truediv__(self, divisor: int) -> Pending:
        return Pending(self._terms, self._check, divisor)
