"""Distortions of colours on given draws, and conversions of colours, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.data.augment.colors import bgr_of, grey_of, hsv_of, with_luminance
from caffelite.data.augment.distort import brightened, contrasted, distort, hued, saturated
from caffelite.schema.augment import DistortionParameter

HSV_OF_BGR = {
    (0, 0, 255): (0, 255, 255),  # red
    (0, 255, 255): (30, 255, 255),  # yellow
    (0, 255, 0): (60, 255, 255),
    (255, 255, 0): (90, 255, 255),  # cyan
    (255, 0, 0): (120, 255, 255),
    (255, 0, 255): (150, 255, 255),
    (7, 7, 7): (0, 0, 7),
    (0, 0, 0): (0, 0, 0),
    (50, 100, 200): (10, 191, 200),  # 30·50/150; 255·150/200 = 191.25
    (100, 50, 200): (170, 191, 200),  # 180 − 10
}


def pixels(*colours: tuple[int, ...]) -> np.ndarray:
    return np.array(colours, np.uint8).T.reshape(3, 1, -1)


def listed(image: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in column) for column in image.reshape(3, -1).T]


def test_hue_saturation_and_value() -> None:
    assert listed(hsv_of(pixels(*HSV_OF_BGR))) == list(HSV_OF_BGR.values())


def test_and_back() -> None:
    # the last but one: 200·(1 − 191/255) = 50.2, and 200·(1 − 191/255·2/3) = 100.1
    assert listed(bgr_of(pixels(*HSV_OF_BGR.values()))) == list(HSV_OF_BGR)
    assert listed(bgr_of(pixels((180, 255, 255), (240, 255, 9)))) == [(0, 0, 255), (0, 9, 0)]


def test_grey() -> None:
    assert grey_of(pixels((255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9))).tolist() == [
        [29, 150, 76, 9]
    ]


def test_another_luminance_keeps_a_grey_grey() -> None:
    image = pixels((9, 9, 9), (200, 200, 200))
    changed = with_luminance(image, np.array([[50, 60]], np.uint8))
    assert listed(changed) == [(50, 50, 50), (60, 60, 60)]


@pytest.mark.parametrize(
    "delta, expected", [(10.4, [10, 110, 255]), (-20.0, [0, 80, 230]), (0.0, [0, 100, 250])]
)
def test_brightness(delta: float, expected: list[int]) -> None:
    image = np.array([0, 100, 250], np.uint8).reshape(1, 1, 3)
    assert brightened(image, delta).ravel().tolist() == expected


@pytest.mark.parametrize(
    "factor, expected", [(1.5, [0, 150, 255]), (0.5, [0, 50, 125]), (1.0009, [0, 100, 250])]
)
def test_contrast(factor: float, expected: list[int]) -> None:
    image = np.array([0, 100, 250], np.uint8).reshape(1, 1, 3)
    assert contrasted(image, factor).ravel().tolist() == expected


def test_saturation() -> None:
    image = pixels((50, 100, 200))  # hue 10, saturation 191, value 200
    # 96: 200·(1 − 96/255) = 124.7, 200·(1 − 96/255·2/3) = 149.8; 0: grey; 382: 255
    assert listed(saturated(image, 0.5)) == [(125, 150, 200)]
    assert listed(saturated(image, 0)) == [(200, 200, 200)]
    assert listed(saturated(image, 2)) == [(0, 67, 200)]


def test_hue_is_moved_on_from_180_to_0_and_stays_at_0_below() -> None:
    image = pixels((0, 0, 255), (255, 0, 255))  # 0 and 150
    assert listed(hued(image, 60)) == [(0, 255, 0), (0, 255, 255)]  # 60, and 210: 30
    assert listed(hued(image, -30)) == [(0, 0, 255), (255, 0, 0)]  # 0, and 120


class Draws:
    """A generator that gives what it is told."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.numbers.pop(0)

    def permutation(self, count: int) -> np.ndarray:
        return np.arange(count)[::-1]


ALL = DistortionParameter(
    brightness_prob=0.5,
    brightness_delta=20,
    contrast_prob=0.5,
    contrast_lower=0.5,
    contrast_upper=1.5,
    hue_prob=0.5,
    hue_delta=60,
    saturation_prob=0.5,
    saturation_lower=0.0,
    saturation_upper=1.0,
    random_order_prob=0.5,
)


def run(*draws: float) -> list[tuple[int, ...]]:
    rng = Draws(*draws)
    found = distort(pixels((0, 0, 200)), ALL, rng)  # type: ignore[arg-type]
    assert rng.numbers == []
    return listed(found)


@pytest.mark.parametrize(
    "draws, expected",
    [
        # nothing: the order, then one draw for each of the five
        ((0.9, 0.5, 0.5, 0.5, 0.5, 0.5), (0, 0, 200)),
        # brightness +10 of at most 20; contrast 1.5; the rest not
        ((0.9, 0.0, 0.75, 0.0, 1.0, 0.9, 0.9, 0.9), (15, 15, 255)),
        # saturation to 0 then hue: grey stays; contrast after them, 0.5
        ((0.1, 0.9, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.9), (100, 100, 100)),
        # hue +60: green; the channels turned around by the last draw
        ((0.9, 0.9, 0.9, 0.9, 0.0, 1.0, 0.9), (0, 200, 0)),
        ((0.9, 0.9, 0.9, 0.9, 0.9, 0.0), (200, 0, 0)),
    ],
)
def test_what_is_drawn_is_done_in_order(
    draws: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    assert run(*draws) == [expected]


def test_values_stay_bytes_whatever_is_drawn() -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (3, 9, 7)).astype(np.uint8)
    seen = set()
    for _ in range(60):
        found = distort(image, ALL, rng)
        assert found.dtype == np.uint8 and found.shape == image.shape
        seen.add(found.tobytes())
    assert image.tobytes() in seen and len(seen) > 30
