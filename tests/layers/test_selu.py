"""SeLu and SeLuDropout keep mean and variance."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.files import parse_net

NET = """force_backward: true input: "x" input_shape { dim: 400 dim: 500 }
layer { name: "l" type: "%s" bottom: "x" top: "y" %s }"""


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("SeLu", ""),
        ("SeLuDropout", ""),
        ("SeLuDropout", "selu_dropout_param { dropout_ratio: 0.3 }"),
    ],
)
def test_mean_and_variance_stay(kind: str, fields: str) -> None:
    net = caffelite.Net(parse_net(NET % (kind, fields)), caffelite.TRAIN, seed=0)
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=(400, 500))
    y = net.forward()["y"]
    assert y.mean() == pytest.approx(0, abs=0.01) and y.var() == pytest.approx(1, abs=0.02)


def test_what_is_dropped_passes_no_gradient() -> None:
    net = caffelite.Net(
        parse_net(NET % ("SeLuDropout", "selu_dropout_param { dropout_ratio: 0.25 alpha: -2 }")),
        caffelite.TRAIN,
        seed=0,
    )
    net.blobs["x"].data[...] = 1
    y = net.forward()["y"]
    net.blobs["y"].diff[...] = 3
    net.backward()
    dropped = y < 0
    assert dropped.mean() == pytest.approx(0.25, abs=0.01)
    scale = (2 / 3) ** 0.5
    np.testing.assert_allclose(y[dropped], -1.5 * scale, rtol=1e-5)
    np.testing.assert_allclose(y[~dropped], 1.5 * scale, rtol=1e-5)
    np.testing.assert_allclose(net.blobs["x"].diff, np.where(dropped, 0, 3 * scale), rtol=1e-5)
