"""transform_param: crop, mean, mirror, scale, held against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.data.transform import Transformer
from caffelite.errors import DataError
from caffelite.schema.common import Phase, TransformationParameter

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 6, 7)).astype(np.uint8)


def transformer(
    phase: Phase = Phase.TEST, mean: np.ndarray | None = None, **fields: object
) -> Transformer:
    param = TransformationParameter(**fields)
    return Transformer(param, phase, np.float32, np.random.default_rng(1), mean)


def apply(t: Transformer, image: np.ndarray = IMAGE) -> np.ndarray:
    out = np.empty(t.shape(image.shape), np.float32)
    t(image, out)
    return out


def test_without_fields_the_values_are_as_they_are() -> None:
    np.testing.assert_array_equal(apply(transformer()), IMAGE.astype(np.float32))


def test_the_mean_is_subtracted_before_scaling() -> None:
    found = apply(transformer(mean_value=[10, 20, 30], scale=0.5))
    expected = (IMAGE - np.array([10.0, 20, 30]).reshape(3, 1, 1)) * 0.5
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_one_mean_value_serves_all_channels() -> None:
    np.testing.assert_array_equal(apply(transformer(mean_value=[7])), IMAGE - np.float32(7))


def test_the_central_crop_takes_the_mean_at_its_place() -> None:
    mean = np.random.default_rng(2).uniform(0, 255, (1, 3, 6, 7)).astype(np.float32)
    found = apply(transformer(mean=mean, crop_size=3))
    np.testing.assert_array_equal(found, (IMAGE - mean[0])[:, 1:4, 2:5])


def test_random_crops_are_windows_of_the_image_in_training_only() -> None:
    t = transformer(Phase.TRAIN, crop_size=5)
    windows = {
        IMAGE[:, y : y + 5, x : x + 5].astype(np.float32).tobytes()
        for y in range(2)
        for x in range(3)
    }
    assert {apply(t).tobytes() for _ in range(100)} == windows
    central = transformer(Phase.TEST, crop_size=5)
    assert len({apply(central).tobytes() for _ in range(20)}) == 1


@pytest.mark.parametrize("phase", list(Phase))
def test_mirror_flips_half_of_the_images_in_both_phases_as_in_caffe(phase: Phase) -> None:
    t = transformer(phase, mirror=True)
    flipped = [np.array_equal(apply(t), IMAGE[:, :, ::-1]) for _ in range(200)]
    assert 70 < sum(flipped) < 130


def test_a_mirrored_image_has_its_mean_subtracted_first() -> None:
    mean = np.random.default_rng(2).uniform(0, 255, (3, 6, 7)).astype(np.float32)
    t = transformer(mirror=True, mean=mean)
    plain = IMAGE - mean
    for _ in range(10):
        found = apply(t)
        assert np.array_equal(found, plain) or np.array_equal(found, plain[:, :, ::-1])


def test_a_batch_is_its_samples() -> None:
    images = np.random.default_rng(3).integers(0, 256, (4, 3, 6, 7)).astype(np.uint8)
    for fields in ({"scale": 0.25, "mean_value": [1.0]}, {"crop_size": 4}, {"mirror": True}):
        one, many = transformer(Phase.TRAIN, **fields), transformer(Phase.TRAIN, **fields)
        out = np.empty((4, *many.shape(images.shape[1:])), np.float32)
        many.batch(images, out)
        np.testing.assert_array_equal(out, np.stack([apply(one, image) for image in images]))


@pytest.mark.parametrize(
    ("fields", "mean", "message"),
    [
        ({"crop_size": 8}, None, "crop_size 8 is too large"),
        ({"mean_value": [1.0, 2.0]}, None, "2 mean_value"),
        ({}, np.zeros((3, 5, 7)), "mean file is 3 x 5 x 7"),
    ],
)
def test_what_does_not_fit_is_refused(
    fields: dict[str, object], mean: np.ndarray | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        transformer(mean=mean, **fields).shape(IMAGE.shape)


def test_mean_file_and_mean_value_exclude_each_other() -> None:
    with pytest.raises(DataError, match="give one"):
        transformer(mean=np.zeros((3, 6, 7)), mean_value=[1.0])
