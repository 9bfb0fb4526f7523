"""The layered drawing: ranks, crossings, places."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from caffelite.draw.layers import GAP, _crossings, _neighbours, arrange


def crossings(widths: list[float], edges: list[tuple[int, int]]) -> int:
    layered = arrange(widths, edges)
    return _crossings(layered.rows, _neighbours(layered)[1])


def test_ranks_are_the_longest_way_and_every_edge_goes_down() -> None:
    layered = arrange([50.0] * 4, [(0, 1), (1, 2), (0, 2), (2, 3)])
    assert layered.ranks[:4] == [0, 1, 2, 3]
    assert layered.paths[2] == [0, 4, 2] and layered.ranks[4] == 1


def test_what_has_nothing_above_it_stands_close_to_its_reader() -> None:
    layered = arrange([50.0] * 5, [(0, 1), (1, 2), (2, 3), (4, 3)])
    assert layered.ranks == [0, 1, 2, 3, 2]


def test_a_chain_is_straight() -> None:
    layered = arrange([40.0, 90.0, 60.0, 120.0], [(0, 1), (1, 2), (2, 3)])
    assert max(layered.x) - min(layered.x) < 0.5


def test_crossings_that_can_be_avoided_are() -> None:
    # two chains whose sources come in the wrong order
    assert crossings([40.0] * 6, [(0, 3), (1, 2), (2, 4), (3, 5)]) == 0
    # an inception block
    edges = [(0, 1), (0, 2), (0, 3), (0, 4), (2, 5), (3, 6), (4, 7), (1, 8), (5, 8), (6, 8), (7, 8)]
    assert crossings([40.0] * 9, edges) == 0
    # K3,3 cannot be drawn with fewer than nine in two rows
    assert crossings([40.0] * 6, [(a, b) for a in range(3) for b in range(3, 6)]) == 9


@pytest.mark.parametrize("seed", range(20))
def test_nothing_overlaps_in_any_graph(seed: int) -> None:
    chance = random.Random(seed)
    count = chance.randint(2, 25)
    widths = [chance.uniform(20, 200) for _ in range(count)]
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    edges = chance.sample(pairs, min(len(pairs), chance.randint(1, 2 * count)))
    layered = arrange(widths, edges)
    assert sorted(v for row in layered.rows for v in row) == list(range(len(layered.ranks)))
    for row in layered.rows:
        for a, b in pairwise(row):
            wide = [widths[v] if v < count else 12.0 for v in (a, b)]
            assert layered.x[b] - layered.x[a] >= sum(wide) / 2 + GAP - 1e-6
    for path in layered.paths:
        assert all(layered.ranks[a] + 1 == layered.ranks[b] for a, b in pairwise(path))


def test_no_boxes_no_drawing() -> None:
    assert arrange([], []).rows == []
