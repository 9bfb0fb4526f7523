"""Layered drawing after Sugiyama: ranks, lines of boxes with few crossings, straight edges.

Sugiyama, Tagawa, Toda: Methods for visual understanding of hierarchical system structures, 1981.
Boxes have indices; an edge goes from a lower rank to a higher one. A long edge passes through
points, one in each rank between, that take part in the ordering like boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

SWEEPS = 24
GAP = 22.0
"""Least distance between two boxes of a rank."""
LANE = 12.0
"""The width of an edge that passes by."""


@dataclass
class Layered:
    """The boxes and points of each rank from left to right, and where they are."""

    ranks: list[int]
    """The rank of every vertex: the boxes first, then the points of long edges."""
    rows: list[list[int]] = field(default_factory=list)
    paths: list[list[int]] = field(default_factory=list)
    """For each edge its vertices: box, points, box."""
    x: list[float] = field(default_factory=list)
    """Centres."""


def arrange(widths: Sequence[float], edges: Sequence[tuple[int, int]]) -> Layered:
    """Rank, order and place boxes of these widths."""
    count = len(widths)
    layered = Layered(_rank(count, edges))
    wide = list(widths)
    for source, target in edges:
        path = [source]
        for rank in range(layered.ranks[source] + 1, layered.ranks[target]):
            path.append(len(layered.ranks))
            layered.ranks.append(rank)
            wide.append(LANE)
        layered.paths.append([*path, target])
    above, below = _neighbours(layered)
    layered.rows = _order(layered, above, below)
    layered.x = _place(layered.rows, wide, above, below, count)
    return layered


def _rank(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from a source; what has nothing above it goes down to its first reader."""
    into: list[list[int]] = [[] for _ in range(count)]
    out: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        into[target].append(source)
        out[source].append(target)
    ranks = [0] * count
    waiting = [len(sources) for sources in into]
    ready = [v for v in range(count) if not waiting[v]]
    done = []
    while ready:
        vertex = ready.pop(0)
        done.append(vertex)
        for target in out[vertex]:
            ranks[target] = max(ranks[target], ranks[vertex] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for vertex in reversed(done):
        if out[vertex] and len(out[vertex]) > len(into[vertex]):
            ranks[vertex] = min(ranks[target] for target in out[vertex]) - 1
    lowest = min(ranks, default=0)
    return [rank - lowest for rank in ranks]


def _neighbours(layered: Layered) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in layered.ranks]
    below: list[list[int]] = [[] for _ in layered.ranks]
    for path in layered.paths:
        for upper, lower in pairwise(path):
            below[upper].append(lower)
            above[lower].append(upper)
    return above, below


def _order(layered: Layered, above: list[list[int]], below: list[list[int]]) -> list[list[int]]:
    """The order in each rank: medians of the neighbours, down and up, then exchanges of two."""
    rows: list[list[int]] = [[] for _ in range(max(layered.ranks, default=-1) + 1)]
    for vertex in _depth_first(layered, above, below):
        rows[layered.ranks[vertex]].append(vertex)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        sides = above if down else below
        at = {v: i for row in rows for i, v in enumerate(row)}
        for row in rows if down else reversed(rows):
            keys = {v: median(at[n] for n in sides[v]) if sides[v] else float(at[v]) for v in row}
            row.sort(key=lambda v: keys[v])
            at.update({v: i for i, v in enumerate(row)})
        _exchange(rows, above, below)
        now = _crossings(rows, below)
        if now < fewest:
            best, fewest = [list(row) for row in rows], now
    return best


def _depth_first(layered: Layered, above: list[list[int]], below: list[list[int]]) -> list[int]:
    seen: dict[int, None] = {}
    for root in (v for v in range(len(layered.ranks)) if not above[v]):
        stack = [root]
        while stack:
            vertex = stack.pop()
            if vertex not in seen:
                seen[vertex] = None
                stack.extend(reversed(below[vertex]))
    return list(seen)


def _crossings(rows: list[list[int]], below: list[list[int]]) -> int:
    total = 0
    for row, next_row in pairwise(rows):
        at = {v: i for i, v in enumerate(next_row)}
        ends = [e for v in row for e in sorted(at[n] for n in below[v])]
        total += sum(ends[i] > e for k, e in enumerate(ends) for i in range(k))
    return total


def _exchange(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> None:
    """Exchange neighbours wherever that saves crossings."""
    at = {v: i for row in rows for i, v in enumerate(row)}

    def saved(a: int, b: int) -> int:
        gain = 0
        for side in (above, below):
            for p in side[a]:
                for q in side[b]:
                    gain += (at[p] > at[q]) - (at[p] < at[q])
        return gain

    changed, rounds = True, 0
    while changed and rounds < 8:
        changed, rounds = False, rounds + 1
        for row in rows:
            for i in range(len(row) - 1):
                if saved(row[i], row[i + 1]) > 0:
                    row[i], row[i + 1] = row[i + 1], row[i]
                    at[row[i]], at[row[i + 1]] = i, i + 1
                    changed = True


def _place(
    rows: list[list[int]],
    widths: Sequence[float],
    above: list[list[int]],
    below: list[list[int]],
    boxes: int,
) -> list[float]:
    """Each row as close to its neighbours' places as the widths allow, down and up in turn."""
    x = [0.0] * len(widths)
    for row in rows:
        at = 0.0
        for vertex in row:
            at += widths[vertex] / 2
            x[vertex] = at
            at += widths[vertex] / 2 + GAP
        middle = at / 2
        for vertex in row:
            x[vertex] -= middle

    def pull(vertex: int, neighbour: int) -> float:
        return (1.0, 3.0, 8.0)[(vertex >= boxes) + (neighbour >= boxes)]

    for sweep in range(120):
        down = sweep % 2 == 0
        last = sweep >= 24
        for row in rows if down else reversed(rows):
            goals, weights = [], []
            for vertex in row:
                sides = (above if down else below)[vertex]
                if last:
                    sides = [*above[vertex], *below[vertex]]
                pulls = [pull(vertex, n) for n in sides]
                total = sum(pulls)
                goals.append(
                    sum(p * x[n] for p, n in zip(pulls, sides)) / total if total else x[vertex]
                )
                weights.append(total or 0.1)
            _settle(row, goals, weights, x, lambda a, b: (widths[a] + widths[b]) / 2 + GAP)
    return x


def _settle(
    row: list[int],
    goals: list[float],
    weights: list[float],
    x: list[float],
    distance: Callable[[int, int], float],
) -> None:
    """Minimise Σ w (x - goal)² with the least distances kept: pools of vertices that touch."""
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + distance(a, b))
    pools: list[list[float]] = []  # weighted mean, weight, members
    for goal, weight, offset in zip(goals, weights, offsets):
        pools.append([goal - offset, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, heavy, members = pools.pop()
            before = pools[-1]
            before[0] = (before[0] * before[1] + mean * heavy) / (before[1] + heavy)
            before[1] += heavy
            before[2] += members
    places = [mean for mean, _, members in pools for _ in range(int(members))]
    for vertex, place, offset in zip(row, places, offsets):
        x[vertex] = place + offset
