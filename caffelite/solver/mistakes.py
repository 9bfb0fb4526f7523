"""Collecting mistakes, so that all of a file are said at once."""

from __future__ import annotations

from collections.abc import Iterable

from caffelite.errors import CaffeliteError, Problem, SolverError


class Mistakes:
    """The problems of several attempts. An attempt that fails ends there, and its problems are
    kept, each once:

        with mistakes:
            attempt()
    """

    def __init__(self) -> None:
        self._problems: dict[str, Problem] = {}
        self._kinds: set[type[CaffeliteError]] = set()

    def __enter__(self) -> None:
        """An attempt begins."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, CaffeliteError):
            self.add(*error.problems, kind=type(error))
            return True
        return False

    def add(self, *problems: Problem, kind: type[CaffeliteError] = SolverError) -> None:
        """Keep these problems."""
        self._problems.update((str(problem), problem) for problem in problems)
        self._kinds.add(kind)

    def refuse(self) -> None:
        """Raise all that was kept, in the order of the text: as the error that it was, or as a
        SolverError if there are several kinds."""
        if self._problems:
            kind = self._kinds.pop() if len(self._kinds) == 1 else SolverError
            raise kind(*in_order(self._problems.values()))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems sorted by file and place; those without a place first."""
    return sorted(problems, key=_place)


def joined(text: list[Problem], found: Iterable[Problem]) -> list[Problem]:
    """The mistakes of a text and what was found behind them, in order. Of two at one place the
    second only follows from the first, and is left out."""
    places = {str(problem.span) for problem in text}
    return in_order([*text, *(p for p in found if str(p.span) not in places)])


def _place(problem: Problem) -> tuple[str | int, ...]:
    span = problem.span
    return (span.source.name, span.line, span.col) if span else ()
