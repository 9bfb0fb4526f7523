"""caffe.Classifier and caffe.Detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite import pycaffe as caffe
from caffelite.errors import CaffeliteError
from caffelite.pycaffe import io

from .image_numbers import image

TEXT = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 4 dim: 3 dim: 4 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    text, model = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    text.write_text(TEXT)
    net = caffe.Net(str(text), caffe.TEST)
    rng = np.random.default_rng(0)
    net.params["ip"][0].data[...] = rng.normal(size=(2, 48)) / 100
    net.save(str(model))
    return str(text), str(model)


def prob(weights: np.ndarray, ready: np.ndarray) -> np.ndarray:
    scores = np.exp(weights @ ready.ravel())
    return scores / scores.sum()


def ready(picture: np.ndarray, mean: float = 0.0) -> np.ndarray:
    return picture.transpose(2, 0, 1)[::-1] * 255 - mean


def test_classifier(files: tuple[str, str]) -> None:
    mean = np.array([9.0, 9.0, 9.0])
    net = caffe.Classifier(
        *files, image_dims=(6, 7), mean=mean, raw_scale=255, channel_swap=(2, 1, 0)
    )
    weights = net.params["ip"][0].data
    pictures = [image(9, 8, 3), image(6, 7, 3), image(12, 14, 3)[::-1]]
    sized = [io.resize_image(p, (6, 7)) for p in pictures]
    centre = net.predict(pictures, oversample=False)
    assert centre.shape == (3, 2)
    for found, p in zip(centre, sized):
        assert np.allclose(found, prob(weights, ready(p[1:5, 1:5], 9)), atol=1e-5)
    ten = net.predict(pictures)
    for found, p in zip(ten, sized):
        each = [prob(weights, ready(crop, 9)) for crop in io.oversample([p], (4, 4))]
        assert np.allclose(found, np.mean(each, 0), atol=1e-5)
    plain = caffe.Classifier(*files)
    assert tuple(plain.image_dims) == (4, 4)
    expected = prob(weights, io.resize_image(pictures[0], (4, 4)).transpose(2, 0, 1))
    assert np.allclose(plain.predict(pictures[:1], False)[0], expected, atol=1e-5)
    small = caffe.Classifier(*files, image_dims=(3, 9))
    with pytest.raises(ValueError, match="less than the net's input"):
        small.predict(pictures, oversample=False)


def test_detector(files: tuple[str, str], tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow")
    path = str(tmp_path / "a.png")
    pillow.fromarray((image(20, 24, 3) * 255).astype(np.uint8)).save(path)
    picture = io.load_image(path)
    net = caffe.Detector(*files, raw_scale=255, channel_swap=(2, 1, 0))
    weights = net.params["ip"][0].data
    windows = [np.array([2, 3, 8, 7]), np.array([0, 0, 20, 24])]
    found = net.detect_windows([(path, windows), (path, windows[:1])])
    assert [f["filename"] for f in found] == [path] * 3
    for entry, (y0, x0, y1, x1) in zip(found, [*windows, windows[0]]):
        crop = io.resize_image(picture[y0:y1, x0:x1], (4, 4))
        assert np.allclose(entry["prediction"], prob(weights, ready(crop)), atol=1e-4)
        assert entry["window"].tolist() == [y0, x0, y1, x1]
    assert net.detect_windows([]) == []
    with pytest.raises(CaffeliteError, match="MATLAB"):
        net.detect_selective_search([path])
    with pytest.raises(ValueError, match="holds no pixels"):
        net.crop(picture, np.array([5, 5, 5, 9]))


def test_context_is_shown_and_beyond_the_image_the_mean(files: tuple[str, str]) -> None:
    net = caffe.Detector(
        *files, mean=np.array([10.0, 20.0, 30.0]), raw_scale=10, channel_swap=(2, 1, 0),
        context_pad=1,
    )  # fmt: skip
    picture = np.ones((20, 24, 3), np.float32) * 7
    inside = net.crop(picture, np.array([8, 8, 11, 11]))
    assert inside.shape == (4, 4, 3) and (inside == 7).all()
    # a window of 4 x 4 pixels in the corner: twice as large with context, half of it outside
    corner = net.crop(picture, np.array([0, 0, 3, 3]))
    assert (corner[2:, 2:] == 7).all()
    assert np.allclose(corner[0], [3, 2, 1]) and np.allclose(corner[:, 0], [3, 2, 1])
    with pytest.raises(ValueError, match="does not touch the image"):
        net.crop(picture, np.array([40, 40, 50, 50]))
