"""Tables of text that fit a width: columns are given up by their weight, long texts are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caffelite.errors import printable

CUT = ".."
NARROWEST = 8


@dataclass(frozen=True)
class Column:
    """A column: its title, how it is aligned, and how readily it is given up (0: never)."""

    title: str
    right: bool = False
    gives_way: int = 0
    cut: bool = False
    """May its texts be cut?"""


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    foot: Sequence[Sequence[str]] = (),
    width: int | None = None,
) -> list[str]:
    """The lines of a table; with no `width` nothing is left out or cut. `foot` are rows below a
    line."""
    chosen = list(range(len(columns)))
    rows, foot = ([[printable(cell) for cell in row] for row in part] for part in (rows, foot))
    body = [[c.title for c in columns], *rows, *foot]

    def widths() -> list[int]:
        return [max(len(row[i]) for row in body) for i in chosen]

    while width is not None and _total(widths()) > width:
        spare = [i for i in chosen if columns[i].gives_way]
        least = [NARROWEST if columns[i].cut else w for i, w in zip(chosen, widths())]
        if not spare or _total([min(a, b) for a, b in zip(least, widths())]) <= width:
            break
        chosen.remove(max(spare, key=lambda i: columns[i].gives_way))
    size = widths()
    while width is not None and _total(size) > width:
        longest = max(
            (k for k, i in enumerate(chosen) if columns[i].cut and size[k] > NARROWEST),
            key=lambda k: size[k],
            default=None,
        )
        if longest is None:
            break
        size[longest] -= 1
    lines = [_line([columns[i] for i in chosen], [row[i] for i in chosen], size) for row in body]
    rule = "-" * (_total(size) if width is None else min(width, _total(size)))
    end = len(lines) - len(foot)
    return [lines[0], rule, *lines[1:end], *([rule, *lines[end:]] if foot else [])]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for column, cell, width in zip(columns, cells, widths):
        text = shorten(cell, width)
        parts.append(text.rjust(width) if column.right else text.ljust(width))
    return "  ".join(parts).rstrip()


def shorten(text: str, width: int) -> str:
    """The text in at most `width` letters, with its middle left out if it is longer."""
    if len(text) <= width:
        return text
    tail = (width - len(CUT)) // 2
    return text[: width - len(CUT) - tail] + CUT + text[len(text) - tail :]


def si(value: float, unit: str = "") -> str:
    """Three digits and a letter: 431 k, 1.58 G."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * factor:
            return f"{_three(value / factor)} {letter}{unit}"
    return f"{_three(value)} {unit}".rstrip() if value else "0"


def duration(seconds: float) -> str:
    """1.23 s, 4.56 ms, 78.9 us."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= 0.9995 * factor:
            return f"{_three(seconds / factor)} {unit}"
    return f"{_three(seconds * 1e6)} us" if seconds else "0"


def size(count: float) -> str:
    """Bytes for people: 512 B, 1.2 KB, 34 MB (powers of 1024)."""
    for factor, letter in ((2**40, "TB"), (2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if count >= 0.9995 * factor:
            return f"{_three(count / factor)} {letter}"
    return f"{count:.0f} B" if count else "0"


def _three(value: float) -> str:
    digits = f"{value:.3g}"
    return f"{value:.0f}" if "e" in digits else digits
