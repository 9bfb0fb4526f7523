"""The Python layers of luhaofang's tripletloss, built in."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net


def layer(name: str, module: str, cls: str, ends: str, said: str = "") -> str:
    text = f"param_str: '{said}'" if said else ""
    return (
        f'layer {{ name: "{name}" type: "Python" {ends} '
        f'python_param {{ module: "{module}" layer: "{cls}" {text} }} }} '
    )


def net_of(said: str = "", samples: int = 6) -> caffelite.Net:
    text = f'force_backward: true input: "x" input_shape {{ dim: {samples} dim: 2 }} '
    text += layer(
        "pick",
        "tripletselectlayer",
        "TripletSelectLayer",
        'bottom: "x" top: "a" top: "p" top: "n"',
        '{"phase":"TRAIN"}',
    )
    ends = 'bottom: "a" bottom: "p" bottom: "n" top: "loss" loss_weight: 1'
    text += layer("loss", "tripletlosslayer", "TripletLayer", ends, said)
    return caffelite.Net(parse_net(text, "f.net"), caffelite.TRAIN, dtype=np.float64)


ROWS = [[0, 0], [0, 1], [1, 0], [3, 0], [0, 2], [0, 4]]


def test_a_batch_becomes_triplets() -> None:
    net = net_of()
    net.blobs["x"].data[...] = ROWS
    # (0 0), (3 0), (0 4): 1 + 9 - 16 is below 0; (0 1), (1 0), (0 2): 1 + 2 - 1
    assert float(net.forward()["loss"]) == pytest.approx(2 / 4)
    net.backward()
    expected = np.zeros((6, 2))
    expected[1], expected[2], expected[4] = [-0.5, 1], [0.5, -0.5], [0, -0.5]
    np.testing.assert_allclose(net.blobs["x"].diff, expected)


def test_no_gradient_where_the_like_is_farther() -> None:
    net = net_of('{"margin": 9}')
    net.blobs["x"].data[...] = [[0, 0], [0, 1], [1, 0], [5, 0], [0, 2], [0, 4]]
    # (0 0), (5 0), (0 4): 9 + 25 - 16; (0 1), (1 0), (0 2): 9 + 2 - 1
    assert float(net.forward()["loss"]) == pytest.approx((18 + 10) / 4)
    net.backward()
    diff = net.blobs["x"].diff
    assert not diff[[0, 3, 5]].any() and diff[[1, 2, 4]].any(1).all()


def test_samples_left_over_have_no_part() -> None:
    net = net_of(samples=7)
    net.blobs["x"].data[...] = [*ROWS, [9, 9]]
    assert float(net.forward()["loss"]) == pytest.approx(2 / 4)
    net.backward()
    assert not net.blobs["x"].diff[6].any()


def test_what_is_refused() -> None:
    with pytest.raises(NetError, match="with three samples or more"):
        net_of(samples=2)
    with pytest.raises(NetError, match='"width" in param_str is not known'):
        net_of('{"width": 1}')
    text = 'input: "x" input_shape { dim: 2 dim: 3 dim: 2 } layer { name: "n" bottom: "x" top: "y" '
    with pytest.raises(NetError, match="expected N x C, or N x C x 1 x 1"):
        caffelite.Net(parse_net(text + 'type: "Norm2" }'), caffelite.TEST)


def test_lengths_pass_no_gradient() -> None:
    text = 'force_backward: true input: "x" input_shape { dim: 2 dim: 2 } '
    text += layer("norm", "tripletloss.norm2layer", "Norm2Layer", 'bottom: "x" top: "y"')
    net = caffelite.Net(parse_net(text), caffelite.TRAIN)
    net.blobs["x"].data[...] = [[3, 4], [0, 2]]
    np.testing.assert_allclose(net.forward()["y"], [[0.6, 0.8], [0, 1]], rtol=1e-6)
    net.blobs["y"].diff[...] = 1
    net.backward()
    assert not net.blobs["x"].diff.any()
