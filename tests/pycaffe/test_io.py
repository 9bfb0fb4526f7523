"""caffe.io: images prepared as pycaffe prepares them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import CaffeliteError, DataError
from caffelite.pycaffe import io

from .image_numbers import CASES, KEPT, image

NUMBERS = np.load(KEPT)
SHAPE = {"data": (1, 3, 4, 5)}


@pytest.mark.parametrize("case", CASES)
def test_images_are_resized_as_scikit_image_and_scipy_do(case: str) -> None:
    picture, size, order = CASES[case]
    found = io.resize_image(picture, size, order)
    assert found.dtype == np.float32 and found.shape == (*size, picture.shape[2])
    assert np.abs(found - NUMBERS[case]).max() < 1e-6


def test_a_constant_image_stays_so() -> None:
    assert (io.resize_image(np.full((3, 4, 3), 7.0), (5, 2)) == 7).all()
    with pytest.raises(ValueError, match="interp_order=3"):
        io.resize_image(image(3, 3, 3), (5, 5), 3)
    with pytest.raises(ValueError, match=r"an image of shape \(3, 3\)"):
        io.resize_image(np.zeros((3, 3)), (5, 5))


def test_load_image(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow")
    pixels = (image(4, 6, 4) * 255).astype(np.uint8)
    for mode, channels in (("RGB", 3), ("RGBA", 4), ("L", 1)):
        path = tmp_path / f"{mode}.png"
        pillow.fromarray(pixels[:, :, :channels].squeeze(), mode).save(path)
        colour, grey = io.load_image(str(path)), io.load_image(path, color=False)
        rgb = np.float32(pixels[:, :, [0, 1, 2]] if channels > 1 else pixels[:, :, [0] * 3]) / 255
        assert colour.dtype == grey.dtype == np.float32
        with path.open("rb") as file:
            assert np.array_equal(io.load_image(file), colour)
        assert np.abs(colour - rgb).max() < 1e-6
        expected = rgb @ np.float32([0.2125, 0.7154, 0.0721])
        assert grey.shape == (4, 6, 1) and np.abs(grey[:, :, 0] - expected).max() < 1e-6
    with pytest.raises(DataError, match=r"none\.png"):
        io.load_image(str(tmp_path / "none.png"))


def test_preprocess_does_all_in_order_and_deprocess_undoes_it() -> None:
    t = io.Transformer(SHAPE)
    picture = image(4, 5, 3)
    before = picture.copy()
    assert np.array_equal(t.preprocess("data", picture), picture)
    t.set_transpose("data", (2, 0, 1))
    t.set_channel_swap("data", (2, 1, 0))
    t.set_raw_scale("data", 255)
    t.set_mean("data", np.array([1.0, 2.0, 3.0]))
    t.set_input_scale("data", 0.5)
    ready = t.preprocess("data", picture)
    expected = (picture.transpose(2, 0, 1)[::-1] * 255 - [[[1.0]], [[2.0]], [[3.0]]]) * 0.5
    assert ready.dtype == np.float32 and np.allclose(ready, expected, atol=1e-4)
    assert np.array_equal(picture, before)
    assert np.allclose(t.deprocess("data", ready[None]), picture, atol=1e-6)
    larger = t.preprocess("data", image(9, 14, 3))
    small = io.resize_image(image(9, 14, 3), (4, 5)).transpose(2, 0, 1)[::-1] * 255
    assert np.allclose(larger, (small - [[[1.0]], [[2.0]], [[3.0]]]) * 0.5, atol=1e-4)


def test_means_of_other_sizes_are_resized() -> None:
    t = io.Transformer(SHAPE)
    mean = image(9, 14, 3).transpose(2, 0, 1) * 200
    t.set_mean("data", mean)
    expected = io.resize_image(mean.transpose(1, 2, 0), (4, 5)).transpose(2, 0, 1)
    assert np.array_equal(t.mean["data"], expected)
    t.set_mean("data", mean[:, :4, :5])
    assert np.array_equal(t.mean["data"], mean[:, :4, :5])
    grey = io.Transformer({"data": (1, 1, 4, 5)})
    grey.set_mean("data", mean[0, :4, :5])
    assert grey.mean["data"].shape == (4, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.preprocess("dta", 0), "dta is not one of the net inputs: data"),
        (lambda t: t.set_transpose("data", (1, 0)), "Transpose order"),
        (lambda t: t.set_channel_swap("data", (1, 0)), "Channel swap"),
        (lambda t: t.set_mean("data", np.zeros(2)), "Mean channels incompatible"),
        (lambda t: t.set_mean("data", np.zeros((2, 3, 4, 5))), "Mean shape invalid"),
    ],
)
def test_what_does_not_fit_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call(io.Transformer(SHAPE))  # type: ignore[operator]
    assert isinstance(error.value, CaffeliteError)


def test_oversample_takes_corners_centre_and_mirrors() -> None:
    pictures = [image(5, 8, 3), image(5, 8, 3)[::-1]]
    crops = io.oversample(pictures, (3, 4))
    assert crops.shape == (20, 3, 4, 3) and crops.dtype == np.float32
    for n, picture in enumerate(pictures):
        ten = crops[10 * n :]
        places = ((0, 0), (0, 4), (2, 0), (2, 4), (1, 2))
        for k, (y, x) in enumerate(places):
            assert np.array_equal(ten[k], picture[y : y + 3, x : x + 4])
            assert np.array_equal(ten[k + 5], ten[k][:, ::-1])
    with pytest.raises(ValueError, match="crops of 6 x 4 from images of 5 x 8"):
        io.oversample(pictures, (6, 4))
