"""How work is cut into parts: all of it, once, in parts of the size that is asked for."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from caffelite import kernels
from caffelite.kernels import Window, window
from caffelite.kernels.columns import conv_tiles
from caffelite.kernels.lrn import _over_tiles
from caffelite.kernels.planes import phases_of
from caffelite.kernels.product import even_step
from caffelite.kernels.rows import row_tiles
from caffelite.kernels.window import Tile, even, tiles


@pytest.mark.parametrize(
    ("total", "most", "part"),
    [(10, 4, 4), (9, 4, 3), (10, 3, 3), (7, 100, 7), (7, 1, 1), (7, 0, 1), (0, 5, 1), (0, 0, 1)],
)
def test_parts_of_about_the_same_size(total: int, most: int, part: int) -> None:
    assert even(total, most) == part


@pytest.mark.parametrize(
    ("total", "most", "least", "step"),
    [
        (100, 1000, 1, 25),  # four parts, for so many threads
        (100, 10, 1, 10),
        (100, 9, 1, 9),  # twelve parts
        (90, 40, 1, 23),
        (100, 10, 60, 50),
        (100, 10, 128, 100),
        (5, 0, 1, 1),
        (0, 9, 1, 0),
    ],
)
def test_steps_of_products(total: int, most: int, least: int, step: int) -> None:
    assert even_step(total, most, least) == step


def positions(found: list[Tile]) -> list[tuple[int, ...]]:
    return [
        (image, *place)
        for tile in found
        for image in range(tile.first, tile.first + tile.images)
        for place in itertools.product(*(range(at.start, at.stop) for at in tile.box))
    ]


@pytest.mark.parametrize("outputs", [(), (7,), (5, 6), (1, 9), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("images", [1, 5])
@pytest.mark.parametrize("room", [1, 2, 5, 7, 30, 1000])
def test_tiles_have_every_output_once(outputs: tuple[int, ...], images: int, room: int) -> None:
    found = list(tiles(images, outputs, 3, 6, 3 * room + 2))
    every = itertools.product(range(images), *map(range, outputs))
    assert sorted(positions(found)) == list(every)
    assert all(tile.columns <= room for tile in found)


def test_images_are_gathered_until_a_run_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "RUN_LENGTH", 20)
    together = {run: next(tiles(9, (5,), 1, run)).images for run in (0, 5, 6, 20, 21)}
    assert together == {0: 9, 5: 3, 6: 3, 20: 1, 21: 1}  # 4 of 5 are 20 long, but 3 x 3 is even
    assert next(tiles(9, (5,), 1, 5, 14)).images == 2  # there is room for no more


def test_what_is_too_large_is_cut_along_the_first_axis_then_along_the_next() -> None:
    shapes = {room: next(tiles(2, (4, 6), 1, 6, room)).outputs for room in (48, 24, 12, 7, 6, 3)}
    assert shapes == {48: (4, 6), 24: (4, 6), 12: (2, 6), 7: (1, 6), 6: (1, 6), 3: (1, 3)}


def test_a_pointwise_run_is_a_whole_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "RUN_LENGTH", 40)
    x = np.zeros((6, 2, 4, 5))
    one, three = Window.of((1, 1)), Window.of((3, 3), pad=1)
    assert conv_tiles(x, one, (4, 5), None)[0].images == 2  # 2 x 20
    assert conv_tiles(x, three, (4, 5), None)[0].images == 6  # 8 x 5
    budget = 2 * 9 * 8 * 20  # bytes of the columns of one image
    assert [tile.columns for tile in conv_tiles(x, three, (4, 5), budget)] == [20] * 6
    assert len(conv_tiles(x, three, (4, 5), budget - 1)) == 12


SHAPE = (1, 3, 20, 200)
EACH = Window.of((3, 3), pad=1)
HEIGHT = 3 * 3 * 200 * 8
"""Bytes of a row's columns: taps of a row, channels, outputs, float64."""


@pytest.mark.parametrize(
    ("heights", "around", "outputs", "starts"),
    [
        (100, EACH, 20, [0]),
        (10, EACH, 20, [0, 7, 14]),  # outputs of 10 heights: 8, or thrice 7
        (9, EACH, 20, [0, 7, 14]),
        (8, EACH, 20, [0, 5, 10, 15]),
        (0, EACH, 20, [0, 4, 8, 12, 16]),  # four at least
        (0, Window((7, 3), (1, 1), (3, 1), (1, 1)), 20, [0, 7, 14]),  # as many as a window has
        (12, Window((5, 3), (1, 1), (2, 1), (1, 1)), 20, [0, 7, 14]),
        (10, Window((3, 3), (2, 1), (1, 1), (1, 1)), 10, [0, 4, 8]),
    ],
)
def test_rows_of_one_image(heights: int, around: Window, outputs: int, starts: list[int]) -> None:
    found = row_tiles(np.zeros(SHAPE), around, (outputs, 200), heights * HEIGHT)
    assert [tile.start for tile in found] == [(start, 0) for start in starts]
    ends = [*starts[1:], outputs]
    sizes = [(end - start, 200) for start, end in zip(starts, ends, strict=True)]
    assert [tile.outputs for tile in found] == sizes
    assert {tile.images for tile in found} == {1}


def test_rows_of_several_images() -> None:
    x = np.zeros((13, 3, 6, 20))
    found = row_tiles(x, EACH, (6, 20), None)
    assert [(tile.first, tile.images, tile.outputs) for tile in found] == []  # 7 x 20 are few
    found = row_tiles(np.zeros((20, 3, 6, 20)), EACH, (6, 20), None)
    assert [(t.first, t.images) for t in found] == [(0, 10), (10, 10)]
    found = row_tiles(np.zeros((29, 3, 6, 20)), EACH, (6, 20), None)
    assert [(t.first, t.images) for t in found] == [(0, 10), (10, 10), (20, 9)]
    cut = row_tiles(np.zeros((10, 3, 6, 20)), EACH, (6, 20), 5 * HEIGHT)
    assert [(t.first, t.images, t.start) for t in cut] == [(0, 10, (0, 0)), (0, 10, (3, 0))]


@pytest.mark.parametrize(
    "around",
    [
        Window.of((1, 1)),
        Window((3, 3), (1, 1), (2, 2), (2, 1)),
        Window((3, 3), (1, 2), (1, 1), (1, 1)),
        Window.of((3, 3), 3),
    ],
    ids=["one tap", "gaps", "steps of 2", "steps of 3"],
)
def test_windows_that_have_no_rows(around: Window) -> None:
    assert row_tiles(np.zeros((1, 3, 20, 400)), around, (10, 200), None) == []
    assert row_tiles(np.zeros((0, 3, 20, 200)), EACH, (20, 200), None) == []
    assert row_tiles(np.zeros((1, 3, 20, 0)), EACH, (20, 0), None) == []


def test_rows_of_solids() -> None:
    x = np.zeros((1, 2, 9, 10, 30))
    found = row_tiles(x, Window.of((3, 3, 3), pad=1), (9, 10, 30), 7 * 9 * 2 * 300 * 8)
    assert [(t.start, t.outputs) for t in found] == [
        ((0, 0, 0), (5, 10, 30)),
        ((5, 0, 0), (4, 10, 30)),
    ]


def test_planes_go_together_while_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    phases = phases_of(Window.of((2, 2), 2), (6, 8), (3, 4))
    x = np.zeros((5, 3, 6, 8))
    for planes, parts in {
        1: [(n, n + 1, c, c + 1) for n in range(5) for c in range(3)],
        2: [(n, n + 1, c, c + 2) for n in range(5) for c in (0, 2)],
        3: [(n, n + 1, 0, 3) for n in range(5)],
        7: [(n, n + 2, 0, 3) for n in (0, 2, 4)],
    }.items():
        for size in (planes, planes + 0.9):
            monkeypatch.setattr(kernels.planes, "STEP_BYTES", int(size * 12 * 8))
            found = [(a.start, a.stop, b.start, b.stop) for a, b in phases.steps(x)]
            assert found == parts
    assert list(phases.steps(x[:, :0])) == list(phases.steps(x[:0])) == []


@pytest.mark.parametrize("rest", [(), (5,), (5, 2)], ids=str)
@pytest.mark.parametrize(("room", "rows"), [(1, 1), (3, 3), (100, 8), (0, 1)])
def test_rows_of_planes(
    rest: tuple[int, ...], room: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels.lrn, "TILE", room * 3 * math.prod(rest))
    x, sizes = np.zeros((2, 3, 8, *rest)), set()

    def part(a: np.ndarray, b: np.ndarray) -> None:
        a += 1
        b += 2
        sizes.add(a.shape)

    y = x.copy()
    _over_tiles(part, x, y)
    assert (x == 1).all() and (y == 2).all()
    assert max(sizes) == (3, rows, *rest)


def test_rows_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.lrn, "TILE", 1)
    x = np.zeros((2, 3))
    _over_tiles(lambda a: np.add(a, 1, out=a), x)
    assert (x == 1).all()
