"""Losses and scores of face nets: SphereFace's margin, MTCNN's distance."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

RNG = np.random.default_rng(4)
TYPES = ("SINGLE", "DOUBLE", "TRIPLE", "QUADRUPLE")


def net_of(layer: str, phase: int = caffelite.TRAIN, **shapes: tuple[int, ...]) -> caffelite.Net:
    text = "force_backward: true " + " ".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }}'
        for name, shape in shapes.items()
    )
    bottoms = " ".join(f'bottom: "{name}"' for name in shapes)
    text += f' layer {{ name: "l" {bottoms} top: "y" {layer} }}'
    return caffelite.Net(parse_net(text, "f.net"), phase, dtype=np.float64)


def sphere(fields: str, samples: int, more: str = "") -> caffelite.Net:
    layer = (
        f'type: "MarginInnerProduct" {more} margin_inner_product_param {{ num_output: 3 {fields} }}'
    )
    return net_of(layer, x=(samples, 4), label=(samples,))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_scores_of_the_own_class_by_angles(m: int) -> None:
    net = sphere(f"type: {TYPES[m - 1]} base: 0 lambda_min: 0.25", 40)
    net.params["l"][0].data[...] = RNG.normal(size=(3, 4))
    x, labels = RNG.normal(size=(40, 4)), RNG.integers(0, 3, 40)
    net.blobs["x"].data[...], net.blobs["label"].data[...] = x, labels
    y = net.forward()["y"]
    w = net.params["l"][0].data
    np.testing.assert_allclose((w * w).sum(1), 1)
    plain = x @ w.T
    length = np.linalg.norm(x, axis=1)
    theta = np.arccos(plain[np.arange(40), labels] / length)
    k = np.floor(theta * m / np.pi)
    psi = (-1.0) ** k * np.cos(m * theta) - 2 * k
    expected = plain.copy()
    own = (length * psi + 0.25 * length * np.cos(theta)) / 1.25
    expected[np.arange(40), labels] = own if m > 1 else plain[np.arange(40), labels]
    np.testing.assert_allclose(y, expected)


def test_the_gradient_of_the_own_class_has_length_one() -> None:
    net = sphere("type: QUADRUPLE base: 0", 20)
    net.params["l"][0].data[...] = RNG.normal(size=(3, 4))
    x, labels = RNG.normal(size=(20, 4)), RNG.integers(0, 3, 20)
    net.blobs["x"].data[...], net.blobs["label"].data[...] = x, labels
    net.forward()
    before = net.blobs["y"].data[np.arange(20), labels].copy()
    net.blobs["y"].diff[...] = 0
    net.blobs["y"].diff[np.arange(20), labels] = 1
    net.backward()
    g = net.blobs["x"].diff.copy()
    slopes = np.zeros_like(x)
    for i in range(4):  # the gradient of the score itself
        net.blobs["x"].data[...] = x
        net.blobs["x"].data[:, i] += 1e-6
        net.forward()
        slopes[:, i] = (net.blobs["y"].data[np.arange(20), labels] - before) / 1e-6
    w = net.params["l"][0].data[labels]
    for n in range(20):  # both lie in the plane of w and x; the fork's has other lengths along them
        a, b = np.linalg.lstsq(np.stack([w[n], x[n]], 1), slopes[n], rcond=None)[0]
        wanted = (a * w[n] + b * x[n]) / np.hypot(a, b)
        np.testing.assert_allclose(g[n], wanted, atol=1e-4)


def test_lambda_falls_from_pass_to_pass() -> None:
    net = sphere("type: DOUBLE base: 10 gamma: 1 iteration: 3 lambda_min: 1.9", 2, 'top: "lambda"')
    net.params["l"][0].data[...] = 1
    net.blobs["x"].data[...] = 1
    found = [float(net.forward()["lambda"][0]) for _ in range(3)]
    assert found == pytest.approx([10 / 5, 1.9, 1.9])
    layer = net.layers[-1]
    layer.restore({"passes": 0})
    assert float(net.forward()["lambda"][0]) == pytest.approx(5)
    assert layer.state() == {"passes": 1}


def test_samples_without_a_target_have_no_part() -> None:
    net = net_of(
        'type: "MTCNNEuclideanLoss" loss_param { ignore_label: -1 }', a=(4, 2), b=(4, 2), s=(4,)
    )
    a, b = RNG.normal(size=(2, 4, 2))
    net.blobs["a"].data[...], net.blobs["b"].data[...] = a, b
    net.blobs["s"].data[...] = [1, -1, 0, -1]
    assert float(net.forward()["y"]) == pytest.approx(np.square(a - b)[[0, 2]].sum() / 2)
    net.backward()
    kept = np.array([[1.0], [0], [1], [0]])
    np.testing.assert_allclose(net.blobs["a"].diff, kept * (a - b) / 4)
    np.testing.assert_allclose(net.blobs["b"].diff, kept * (b - a) / 4)


def test_what_is_refused() -> None:
    with pytest.raises(NetError, match="or neither"):
        net_of('type: "MTCNNEuclideanLoss"', a=(4, 2), b=(4, 2), s=(4,))
    with pytest.raises(NetError, match="or neither"):
        net_of('type: "MTCNNEuclideanLoss" loss_param { ignore_label: 0 }', a=(4, 2), b=(4, 2))
    with pytest.raises(NetError, match="one label a sample"):
        text = 'type: "MTCNNEuclideanLoss" loss_param { ignore_label: 0 }'
        net_of(text, a=(4, 2), b=(4, 2), s=(4, 2))
    with pytest.raises(NetError, match="num_output is missing"):
        net_of('type: "MarginInnerProduct"', x=(2, 3), label=(2,))
