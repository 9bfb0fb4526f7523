"""Blocks: every parameter in one of them, none too large, multipliers where they belong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from caffelite.solver.blocks import BLOCK, SHORT, Stretch, blocks, stretches


def arena(*sizes_and_mults: tuple[int, float, float]) -> tuple[list[Any], list[slice]]:
    """Parameters of these sizes, lr_mult and decay_mult, with gaps to multiples of 16."""
    params, slices, end = [], [], 0
    for size, lr, decay in sizes_and_mults:
        params.append(SimpleNamespace(lr_mult=lr, decay_mult=decay))
        slices.append(slice(end, end + size))
        end += -(-size // 16) * 16
    return params, slices


def spans(found: list[list[Stretch]]) -> list[tuple[int, int]]:
    return [(part[0].start, part[-1].stop) for part in found]


def test_neighbours_of_equal_multipliers_are_one_stretch() -> None:
    params = arena((200, 1, 1), (100, 1, 1), (300, 1, 0), (3, 2, 0), (5, 2, 0))
    assert stretches(*params) == [
        Stretch(0, 308, 1, 1),
        Stretch(320, 620, 1, 0),
        Stretch(624, 645, 2, 0),
    ]


def test_a_small_net_is_one_block() -> None:
    (block,) = blocks(stretches(*arena((200, 1, 1), (100, 2, 0), (300, 1, 1), (3, 2, 0))))
    assert len(block) == 4


def test_lenet() -> None:
    sizes = (500, 20, 25000, 50, 400000, 500, 5000, 10)
    found = list(blocks(stretches(*arena(*((n, 1 + i % 2, 1.0) for i, n in enumerate(sizes))))))
    shape = [(len(part), part[-1].stop - part[0].start) for part in found]
    assert shape == [(2, 532), (1, 25000), (1, 50)] + [(1, BLOCK)] * 6 + [
        (1, 400000 - 6 * BLOCK)
    ] + [(3, 512 + 5008 + 10)]


def test_no_parameters_no_blocks() -> None:
    assert list(blocks(stretches([], []))) == []


@pytest.mark.parametrize("seed", range(40))
def test_every_value_is_in_one_block(seed: int) -> None:
    rng = np.random.default_rng(seed)
    most = int(rng.choice([5, 100, 1000, BLOCK]))
    params, slices = arena(
        *(
            (int(rng.integers(1, 3 * most)), float(rng.integers(1, 3)), float(rng.integers(2)))
            for _ in range(rng.integers(1, 30))
        )
    )
    found = list(blocks(stretches(params, slices), most))
    end = slices[-1].stop
    lr, decay, count = np.full(end, -1.0), np.full(end, -1.0), np.zeros(end)
    for part in found:
        assert part[-1].stop - part[0].start <= most
        assert len(part) == 1 or all(stretch.size < SHORT for stretch in part)
        for stretch in part:
            inside = slice(stretch.start, stretch.stop)
            lr[inside], decay[inside] = stretch.lr, stretch.decay
            count[inside] += 1
    assert spans(found) == sorted(spans(found)) and count.max() == 1
    for param, where in zip(params, slices):
        assert (count[where] == 1).all()
        assert (lr[where] == param.lr_mult).all() and (decay[where] == param.decay_mult).all()
