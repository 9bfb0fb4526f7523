"""One family of errors, written for the person who made the mistake.

A `Problem` says what is wrong, where (FILE:LINE:COL, the line and a caret), what was expected and
what to try. A `CaffeliteError` carries one or more problems and prints them all, so that a file
with five mistakes is mended in one go.
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import NamedTuple

SHOWN = 100
"""Problems of an error that are printed. Behind so many no suggestions are looked for, since each
search compares with all names that there are."""


@dataclass(frozen=True)
class Source:
    """A text that was read, and the name people know it by (a path, or "<text>")."""

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def starts(self) -> list[int]:
        """Where each line begins in the text, and where one behind the last would."""
        return [*accumulate((len(line) + 1 for line in self.lines), initial=0)]

    def span(self, at: int, width: int = 1) -> Span:
        """The stretch of `width` characters from the offset `at`."""
        line = bisect_right(self.starts, at)
        return Span(self, line, at - self.starts[line - 1] + 1, width)


class Span(NamedTuple):
    """A stretch of one line: `line` and `col` count from 1, `width` is in characters."""

    source: Source
    line: int
    col: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.col}"

    def excerpt(self) -> str:
        """The line with a caret below, tabs and control characters made visible as spaces."""
        line = self.source.lines[self.line - 1] if self.line <= len(self.source.lines) else ""
        shown, col = _window(line, self.col - 1)
        shown = printable(shown)
        number = f"{self.line:>5} | "
        width = max(1, min(self.width, len(shown) - col))
        return f"{number}{shown}\n{' ' * (len(number) - 2)}| {' ' * col}^{'~' * (width - 1)}"


def printable(text: str) -> str:
    """Text for a terminal: what would move its cursor, ring its bell, hide text or turn its
    direction, or cannot be encoded, is a space. Line breaks stay."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _window(line: str, at: int, width: int = 66) -> tuple[str, int]:
    """The part of a long line around column `at`, and where `at` is in it."""
    if len(line) <= width:
        return line.rstrip(), at
    start = max(0, min(at - width // 3, len(line) - width))
    head = "..." if start else ""
    tail = "..." if start + width < len(line) else ""
    return head + line[start : start + width] + tail, at - start + len(head)


@dataclass(frozen=True)
class Problem:
    """One mistake: what, where, what was expected, what to do."""

    message: str
    span: Span | None = None
    expected: str | None = None
    hint: str | None = None
    absent: bool = False
    """Is it only that data is not here? Then the text may be right."""

    def __str__(self) -> str:
        lines = [f"{self.span}: {self.message}" if self.span else self.message]
        if self.span:
            lines.append(self.span.excerpt())
        if self.expected:
            lines.append(f"  expected {self.expected}")
        if self.hint:
            lines.append(f"  {self.hint}")
        return printable("\n".join(lines))


class CaffeliteError(Exception):
    """Something the user can mend. `problems` lists every mistake that was found."""

    over_limit = False
    """Was something larger than a bound of `caffelite.reading`?"""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = [p if isinstance(p, Problem) else Problem(p) for p in problems]
        super().__init__(*self.problems)

    def __str__(self) -> str:
        """The problems; of very many the first ones and their number."""
        shown = [*map(str, self.problems[:SHOWN])]
        if len(self.problems) > SHOWN:
            shown.append(f"{len(self.problems):,} mistakes, {SHOWN} of them shown")
        return "\n\n".join(shown)


class ParseError(CaffeliteError):
    """The text is not in the protobuf text format."""


class SchemaError(CaffeliteError):
    """The text says something that the schema does not know or allow."""


class NetError(CaffeliteError):
    """The layers do not fit together, or a layer refuses its parameters or its inputs."""


class SolverError(CaffeliteError):
    """The solver file cannot be run as it stands."""


class SnapshotError(CaffeliteError):
    """A snapshot cannot be read, does not fit the net, or cannot be written."""


class DataError(CaffeliteError):
    """A data source is missing, damaged, or not what the layer expects."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The name that a misspelt one is likely to be: case is forgiven first, then
    an ending that is left out, then small slips."""
    return _closest(word, tuple(known))


@lru_cache(maxsize=4096)
def _closest(word: str, names: tuple[str, ...]) -> str | None:
    """One slip is often made many times, and to compare it with all names is slow."""
    folded = {name.casefold(): name for name in reversed(names)}
    if word.casefold() in folded and folded[word.casefold()] != word:
        return folded[word.casefold()]
    longer = [n for n in folded if n.startswith(word.casefold()) and n != word.casefold()]
    if len(word) > 3 and longer:
        return folded[min(longer, key=len)]
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The `closest` name as a suggestion."""
    name = closest(word, known)
    return f'did you mean "{name}"?' if name else None
