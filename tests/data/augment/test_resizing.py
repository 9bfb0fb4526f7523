"""Sizes, ways of interpolation, and boxes of resized images."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.data.augment.fitting import fit, fit_boxes, fitted_size, rescale
from caffelite.data.augment.interpolation import interpolate
from caffelite.schema.augment import Interp_mode, ResizeParameter

ROW = np.array([0, 100, 200, 40], np.uint8).reshape(1, 1, 4)


@pytest.mark.parametrize(
    "mode, width, expected",
    [
        ("NEAREST", 2, [0, 200]),
        ("NEAREST", 8, [0, 0, 100, 100, 200, 200, 40, 40]),
        ("NEAREST", 3, [0, 100, 200]),  # 0, 4/3, 8/3
        ("LINEAR", 8, [0, 25, 75, 125, 175, 160, 80, 40]),
        ("AREA", 2, [50, 120]),
        ("AREA", 3, [25, 150, 80]),  # of 4/3 pixels: (0 + 100/3)·3/4, (200/3 + 400/3)·3/4
        ("AREA", 8, [0, 0, 100, 100, 200, 200, 40, 40]),
        # x' = 0.5: (−3/32)·(0 + 40) + (19/32)·(100 + 200) in the middle of a doubled row's third
        ("CUBIC", 4, [0, 100, 200, 40]),
    ],
)
def test_ways_of_interpolation(mode: str, width: int, expected: list[int]) -> None:
    assert interpolate(ROW, 1, width, Interp_mode[mode]).ravel().tolist() == expected
    down = interpolate(ROW.transpose(0, 2, 1), width, 1, Interp_mode[mode])
    assert down.ravel().tolist() == expected


def test_cubic_at_halves() -> None:
    # 4 to 1: x' = 1.5, t = 0.5: weights −3/32, 19/32, 19/32, −3/32
    assert interpolate(ROW, 1, 1, Interp_mode.CUBIC).item() == round((19 * 300 - 3 * 40) / 32)


def test_lanczos_at_halves() -> None:
    row = np.zeros((1, 1, 8))
    row[..., 3] = 1.0
    t = np.array([3.5, 2.5, 1.5, 0.5, 0.5, 1.5, 2.5, 3.5]) * np.pi
    weights = np.sin(t) * np.sin(t / 4) / (t * t / 4)
    expected = weights[3] / weights.sum()
    assert interpolate(row, 1, 1, Interp_mode.LANCZOS4).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mode", list(Interp_mode))
@pytest.mark.parametrize("size", [(3, 5), (11, 17), (2, 17), (22, 34), (5, 8)])
def test_a_plain_image_stays_plain(mode: Interp_mode, size: tuple[int, int]) -> None:
    image = np.full((3, 11, 17), 77, np.uint8)
    found = interpolate(image, *size, mode)
    assert found.shape == (3, *size) and found.dtype == np.uint8 and (found == 77).all()


def param(mode: str, height: int, width: int, **more: object) -> ResizeParameter:
    return ResizeParameter(resize_mode=mode, height=height, width=width, **more)


@pytest.mark.parametrize(
    "mode, size, expected",
    [
        ("WARP", (100, 200), (30, 40)),
        ("FIT_LARGE_SIZE_AND_PAD", (100, 200), (30, 40)),
        ("FIT_SMALL_SIZE", (100, 200), (30, 60)),
        ("FIT_SMALL_SIZE", (200, 100), (80, 40)),
        ("FIT_SMALL_SIZE", (300, 400), (30, 40)),
        ("FIT_SMALL_SIZE", (7, 10), (30, 42)),  # 42.86
    ],
)
def test_sizes(mode: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fitted_size(param(mode, 30, 40), *size) == expected
    image = np.full((2, *size), 9, np.uint8)
    assert fit(image, param(mode, 30, 40), None).shape == (2, *expected)


BOXES = np.array([[0.0, 0.0, 1.0, 1.0], [0.25, 0.5, 0.5, 1.0], [-0.5, 0.2, 0.5, 1.5]])


@pytest.mark.parametrize(
    "mode, size, expected",
    [
        ("WARP", (10, 77), [[0, 0, 1, 1], [0.25, 0.5, 0.5, 1], [0, 0.2, 0.5, 1]]),
        # 20 x 40 in 40 x 40: rows 10 to 30
        (
            "FIT_LARGE_SIZE_AND_PAD",
            (10, 20),
            [[0, 0.25, 1, 0.75], [0.25, 0.5, 0.5, 0.75], [0, 0.35, 0.5, 0.75]],
        ),
        (
            "FIT_LARGE_SIZE_AND_PAD",
            (20, 10),
            [[0.25, 0, 0.75, 1], [0.375, 0.5, 0.5, 1], [0.25, 0.2, 0.5, 1]],
        ),
    ],
)
def test_boxes_move_with_the_image(
    mode: str, size: tuple[int, int], expected: list[list[float]]
) -> None:
    np.testing.assert_allclose(fit_boxes(BOXES, param(mode, 40, 40), *size), expected, atol=1e-12)


@pytest.mark.parametrize(
    "pad, value, expected",
    [
        ("CONSTANT", [5.4, 6.6], [[5, 1, 2, 3, 4, 5], [7, 11, 12, 13, 14, 7]]),
        ("CONSTANT", [], [[0, 1, 2, 3, 4, 0], [0, 11, 12, 13, 14, 0]]),
        ("MIRRORED", [], [[2, 1, 2, 3, 4, 3], [12, 11, 12, 13, 14, 13]]),
        ("REPEAT_NEAREST", [], [[1, 1, 2, 3, 4, 4], [11, 11, 12, 13, 14, 14]]),
    ],
)
def test_what_is_around_an_image(pad: str, value: list[float], expected: list[list[int]]) -> None:
    image = np.array([[[1, 2, 3, 4]], [[11, 12, 13, 14]]], np.uint8)
    resize = param("FIT_LARGE_SIZE_AND_PAD", 1, 6, pad_mode=pad, pad_value=value)
    assert fit(image, resize, None)[:, 0].tolist() == expected


def test_a_box_stays_on_its_pixels() -> None:
    """A white rectangle is where its box is, in all ways of resizing."""
    image = np.zeros((1, 60, 90), np.uint8)
    image[:, 15:45, 30:60] = 255
    box = np.array([[30 / 90, 15 / 60, 60 / 90, 45 / 60]])
    for mode in ("WARP", "FIT_SMALL_SIZE", "FIT_LARGE_SIZE_AND_PAD"):
        for size in ((120, 120), (40, 100), (100, 40)):
            resize = param(mode, *size)
            found = fit(image, resize, None)[0]
            x1, y1, x2, y2 = fit_boxes(box, resize, 60, 90)[0] * np.tile(found.shape[::-1], 2)
            rows, columns = np.nonzero(found > 127)
            assert abs(rows.min() - y1) <= 1 and abs(rows.max() + 1 - y2) <= 1
            assert abs(columns.min() - x1) <= 1 and abs(columns.max() + 1 - x2) <= 1


def test_boxes_in_parts_of_a_scale() -> None:
    resize = param("FIT_SMALL_SIZE", 30, 40, height_scale=60, width_scale=20)
    found = rescale(BOXES[1:2], resize, 30, 45)
    np.testing.assert_allclose(found, [[0.25 * 2.25, 0.25, 0.5 * 2.25, 0.5]])
    assert rescale(BOXES, param("WARP", 30, 40, height_scale=9, width_scale=9), 3, 4) is BOXES


def test_each_way_is_drawn() -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 9, 9)).astype(np.uint8)
    modes = ["LINEAR", "AREA", "NEAREST", "CUBIC", "LANCZOS4"]
    rng = np.random.default_rng(2)
    drawn = {fit(image, param("WARP", 5, 6, interp_mode=modes), rng).tobytes() for _ in range(60)}
    assert drawn == {interpolate(image, 5, 6, mode).tobytes() for mode in Interp_mode}
