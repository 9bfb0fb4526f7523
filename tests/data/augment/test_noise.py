"""What noise_param does, each treatment by itself."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.data.augment.noise import (
    add_noise,
    as_jpeg,
    blurred,
    equalized,
    equalized_in_tiles,
    eroded,
    peppered,
)
from caffelite.schema.augment import NoiseParameter, SaltPepperParameter

IMAGE = np.random.default_rng(1).integers(0, 256, (3, 12, 15)).astype(np.uint8)


def noise(image: np.ndarray = IMAGE, seed: int = 1, **fields: object) -> np.ndarray:
    return add_noise(image, NoiseParameter(**fields), np.random.default_rng(seed))


def test_nothing_is_done_unasked() -> None:
    assert noise() is IMAGE and noise(prob=1.0) is IMAGE


def test_inverse_posterize_and_grey() -> None:
    assert np.array_equal(noise(inverse=True), 255 - IMAGE)
    levels = noise(
        np.array([0, 63, 64, 127, 128, 200, 255], np.uint8).reshape(1, 1, 7), posterize=1
    )
    assert levels.ravel().tolist() == [32, 32, 96, 96, 160, 224, 224]
    grey = noise(decolorize=True)
    assert np.array_equal(grey[0], grey[1]) and np.array_equal(grey[0], grey[2])


def test_erosion_takes_the_least_of_five() -> None:
    image = np.full((1, 5, 5), 9, np.uint8)
    image[0, 2, 2] = 1
    found = eroded(image)[0]
    assert [tuple(int(i) for i in at) for at in np.argwhere(found == 1)] == [
        (1, 2), (2, 1), (2, 2), (2, 3), (3, 2)
    ]  # fmt: skip
    assert (found[found != 1] == 9).all()


def test_a_blurred_point_is_the_gaussian() -> None:
    image = np.zeros((1, 9, 9), np.uint8)
    image[0, 4, 4] = 255
    taps = np.exp(-np.array([9, 4, 1, 0, 1, 4, 9]) / 4.5)
    taps /= taps.sum()
    assert np.array_equal(blurred(image)[0, 1:8, 1:8], np.rint(255 * np.outer(taps, taps)))
    assert (blurred(np.full((2, 4, 4), 66, np.uint8)) == 66).all()


def test_a_histogram_is_spread() -> None:
    plane = np.array([[10, 10, 20], [20, 20, 40]], np.uint8)
    # above the lowest: 3 of 4 have at most 20, all at most 40
    assert equalized(plane).tolist() == [[0, 0, 191], [191, 191, 255]]
    plain = np.full((3, 3), 50, np.uint8)
    assert np.array_equal(equalized(plain), plain)


def test_tiles_spread_a_weak_contrast_no_more_than_the_limit() -> None:
    ramp = np.tile(np.arange(100, 164, dtype=np.uint8), (64, 1))
    found = equalized_in_tiles(ramp)
    assert found.shape == ramp.shape and np.ptp(found) > np.ptp(ramp)
    assert equalized_in_tiles(ramp[:13, :9]).shape == (13, 9)
    # Of a plain tile all pixels are in one bin: the limit leaves 4 times the mean there, and the
    # rest lies evenly below and above: a curve near to the straight line.
    plain = equalized_in_tiles(np.full((64, 64), 50, np.uint8))
    assert np.ptp(plain) == 0 and 40 < plain[0, 0] < 60


def test_three_channels_are_equalized_in_luminance() -> None:
    weak = (IMAGE // 8 + 100).astype(np.uint8)
    for fields in ({"hist_eq": True}, {"clahe": True}):
        found = noise(weak, **fields)
        assert found.shape == weak.shape and np.ptp(found) > 2 * np.ptp(weak)
    plane = weak[:1]
    assert np.array_equal(noise(plane, hist_eq=True)[0], equalized(plane[0]))


def test_jpeg_changes_little_and_less_at_a_higher_quality() -> None:
    smooth = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (3, 32, 1))
    errors = [np.abs(as_jpeg(smooth, q).astype(int) - smooth).mean() for q in (5, 50, 95)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 2
    assert noise(smooth[:1], jpeg=90).shape == (1, 32, 32)


def test_pixels_are_set() -> None:
    image = np.full((3, 20, 20), 100, np.uint8)
    found = peppered(image, 0.1, [1.0, 2.0, 3.0], np.random.default_rng(2))
    changed = (found != 100).any(axis=0)
    assert 30 <= changed.sum() <= 40  # 40, of which a few fall on one another
    assert (found[:, changed].T == [1, 2, 3]).all()
    pepper = SaltPepperParameter(fraction=0.1, value=[7.0])
    one, two, other = (noise(image, s, saltpepper=True, saltpepper_param=pepper) for s in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    assert set(one.ravel().tolist()) == {7, 100}


@pytest.mark.parametrize("name", ["gauss_blur", "hist_eq", "clahe", "erode", "convert_to_hsv"])
def test_each_treatment_is_asked_for_by_its_field(name: str) -> None:
    found = noise(**{name: True})
    assert found.dtype == np.uint8 and found.shape == IMAGE.shape
    assert not np.array_equal(found, IMAGE)
