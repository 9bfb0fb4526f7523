"""A tall drawing broken into columns, at places where a single blob leads on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from caffelite.draw.layers import Layered

TALL = 1100.0
"""A drawing up to this height is not broken."""
WISHED = 1.35
"""Width by height of the page."""
GUTTER = 70.0
MOST = 12


@dataclass
class Column:
    """Ranks `first` to `last`, and where they are: `shift` is the x of their left end."""

    first: int
    last: int
    left: float = 0.0
    width: float = 0.0
    height: float = 0.0
    shift: float = 0.0
    tops: dict[int, float] = field(default_factory=dict)
    heights: dict[int, float] = field(default_factory=dict)


def fold(
    layered: Layered,
    widths: Sequence[float],
    heights: Sequence[float],
    room: float,
    blobs: Sequence[object],
    wrap: bool = True,
) -> list[Column]:
    """The columns, of which there are as many as bring the page closest to the wished form."""
    if not heights:
        return []
    whole = [Column(0, len(heights) - 1)]
    _measure(whole, layered, widths, heights, room)
    if not wrap or whole[0].height <= TALL:
        return whole
    cuts = _cuts(layered, blobs)
    best, least = whole, _distance(whole)
    for count in range(2, MOST + 1):
        columns = _split(heights, room, cuts, whole[0].height / count)
        _measure(columns, layered, widths, heights, room)
        if _distance(columns) < least:
            best, least = columns, _distance(columns)
    return best


def _cuts(layered: Layered, blobs: Sequence[object]) -> set[int]:
    """The ranks after which one blob alone leads on; `blobs` says which one each edge is."""
    crossing: list[set[object]] = [set() for _ in layered.rows]
    for path, blob in zip(layered.paths, blobs):
        for vertex in path[:-1]:
            crossing[layered.ranks[vertex]].add(blob)
    return {rank for rank, lines in enumerate(crossing) if len(lines) == 1}


def _split(heights: Sequence[float], room: float, cuts: set[int], wished: float) -> list[Column]:
    """Columns that end at the cut next to the wished height."""
    columns: list[Column] = []
    first, at, best = 0, 0.0, -1
    begin = 0.0
    ends = []
    for height in heights:
        at += height + room
        ends.append(at)
    for rank in range(len(heights) - 1):
        if rank in cuts and rank >= first:
            if best < first or abs(ends[rank] - begin - wished) <= abs(ends[best] - begin - wished):
                best = rank
            if ends[rank] - begin >= wished:
                columns.append(Column(first, best))
                begin, first = ends[best], best + 1
                best = rank if rank >= first else -1
    columns.append(Column(first, len(heights) - 1))
    return columns


def _measure(
    columns: list[Column],
    layered: Layered,
    widths: Sequence[float],
    heights: Sequence[float],
    room: float,
) -> None:
    left = 0.0
    for column in columns:
        low, high = math.inf, -math.inf
        at = 0.0
        for rank in range(column.first, column.last + 1):
            for vertex in layered.rows[rank]:
                half = widths[vertex] / 2 if vertex < len(widths) else 6.0
                low, high = min(low, layered.x[vertex] - half), max(high, layered.x[vertex] + half)
            column.tops[rank], column.heights[rank] = at, heights[rank]
            at += heights[rank] + room
        column.height = at - room
        column.shift, column.width, column.left = low, high - low, left
        left += column.width + GUTTER


def _distance(columns: Sequence[Column]) -> float:
    """How far the page is from the wished form."""
    width = columns[-1].left + columns[-1].width
    height = max(column.height for column in columns)
    return abs(math.log(width / height / WISHED))
