"""Blobs of images, and boxes kept, with OpenCV 4's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import dnn
from caffelite.data.resizing import resize_linear
from caffelite.errors import DataError

from .opencv_numbers import CASES, KEPT, THRESHOLDS, boxes, grid, image

NUMBERS = np.load(KEPT)


@pytest.mark.parametrize("case", CASES)
def test_blobs_are_opencvs(case: str) -> None:
    picture, how = CASES[case]
    blob, expected = dnn.blobFromImage(picture, **how), NUMBERS[case]
    assert blob.dtype == expected.dtype and blob.shape == expected.shape
    close = 1e-5 * max(1.0, float(np.abs(expected).max()))
    assert np.abs(blob.astype(float) - expected).max() <= (0 if blob.dtype == np.uint8 else close)


def test_bytes_are_resized_to_the_very_same_bytes() -> None:
    for case in ("smaller", "half", "larger", "cut, enlarged"):
        picture, how = CASES[case]
        assert np.array_equal(dnn.blobFromImage(picture, **how), NUMBERS[case])


def test_several_images_are_one_blob() -> None:
    pictures = [image(5, 7, 3), image(9, 4, 3)]
    blob = dnn.blobFromImages(pictures, 2, (6, 6), (1, 2, 3))
    for row, picture in zip(blob, pictures):
        assert np.array_equal(row, dnn.blobFromImage(picture, 2, (6, 6), (1, 2, 3))[0])
    with pytest.raises(DataError, match="differ in shape: 5 x 7 x 3, 9 x 4 x 3"):
        dnn.blobFromImages(pictures)


def test_images_come_back() -> None:
    picture = image(5, 7, 3)
    (back,) = dnn.imagesFromBlob(dnn.blobFromImage(picture))
    assert back.dtype == np.float32 and np.array_equal(back, picture)
    (grey,) = dnn.imagesFromBlob(dnn.blobFromImage(picture[:, :, 0]))
    assert np.array_equal(grey, picture[:, :, 0])
    with pytest.raises(DataError, match="no blob"):
        dnn.imagesFromBlob(picture)


@pytest.mark.parametrize(
    ("picture", "how", "message"),
    [
        (None, {}, "no image: None: was the file read"),
        (image(4, 4, 2), {}, r"no image: uint8 \(4, 4, 2\)"),
        (image(4, 4, 3, np.int64), {}, "no image: int64"),
        (image(4, 4, 3), {"size": (0, 5)}, r"size=\(0, 5\)"),
        (image(4, 4, 3), {"ddepth": 6}, "ddepth=6"),
        (image(4, 4, 3), {"ddepth": dnn.CV_8U, "scalefactor": 2}, "neither scaled"),
        (image(4, 4, 3), {"ddepth": dnn.CV_8U, "mean": 2}, "neither scaled"),
    ],
)
def test_what_is_no_image_is_refused(picture: object, how: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dnn.blobFromImage(picture, **how)


def test_an_image_may_lie_in_memory_in_either_order() -> None:
    picture = image(11, 14, 3)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    resized = resize_linear(planes, 5, 6, axis=1)
    assert np.array_equal(resized.transpose(1, 2, 0), resize_linear(picture, 5, 6))
    assert not np.shares_memory(resize_linear(picture, 11, 14), picture)


@pytest.mark.parametrize("seed", range(len(THRESHOLDS)))
def test_the_boxes_that_opencv_keeps(seed: int) -> None:
    found, scores, classes = boxes(seed)
    kept = dnn.NMSBoxes(found, scores, *THRESHOLDS[seed])
    assert np.array_equal(np.array(kept, np.int32), NUMBERS[f"boxes {seed}"])
    batched = dnn.NMSBoxesBatched(found.tolist(), scores.tolist(), classes, *THRESHOLDS[seed])
    assert np.array_equal(np.array(batched, np.int32), NUMBERS[f"batched {seed}"])


def test_boxes_that_overlap_by_the_threshold_to_the_bit() -> None:
    assert np.array_equal(dnn.NMSBoxes(*grid(), 0, 0.5), NUMBERS["grid"])


def test_no_boxes_are_an_empty_tuple() -> None:
    assert dnn.NMSBoxes([], [], 0.1, 0.5) == ()
    assert dnn.NMSBoxes([[0, 0, 9, 9]], [0.5], 0.6, 0.5) == ()
    assert dnn.NMSBoxesBatched([], [], [], 0.1, 0.5) == ()
    with pytest.raises(DataError, match="2 boxes, but 1 scores"):
        dnn.NMSBoxes([[0, 0, 9, 9], [1, 1, 9, 9]], [0.5], 0.6, 0.5)
