"""DenseBlock is its layers one after the other; what it drops and stores."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

X = np.random.default_rng(7).normal(size=(2, 3, 4, 5))


def net_of(layers: str, phase: int, shape: tuple[int, ...] = X.shape) -> caffelite.Net:
    dims = " ".join(f"dim: {n}" for n in shape)
    text = f'force_backward: true input: "x" input_shape {{ {dims} }} {layers}'
    return caffelite.Net(parse_net(text, "f.net"), phase, dtype=np.float64, seed=1)


def block(fields: str, more: str = "") -> str:
    return (
        f'layer {{ name: "d" type: "DenseBlock" bottom: "x" top: "y" {more} denseblock_param {{ '
        f'{fields} Filter_Filler {{ type: "msra" }} BN_Scaler_Filler {{ value: 1.5 }} '
        "BN_Bias_Filler { value: 0.1 } } }"
    )


def layers_of(count: int) -> str:
    """Two transitions with two channels each, written out; BN's stored statistics move alike."""
    text, before = "", "x"
    for t in range(count):
        text += f"""
          layer {{ name: "n{t}" type: "BN" bottom: "{before}" top: "n{t}"
            bn_param {{ slope_filler {{ value: 1.5 }} bias_filler {{ value: 0.1 }} }} }}
          layer {{ name: "r{t}" type: "ReLU" bottom: "n{t}" top: "r{t}" }}
          layer {{ name: "c{t}" type: "Convolution" bottom: "r{t}" top: "c{t}"
            convolution_param {{ num_output: 2 kernel_size: 3 pad: 1 bias_term: false }} }}
          layer {{ name: "k{t}" type: "Concat" bottom: "{before}" bottom: "c{t}" top: "k{t}" }}"""
        before = f"k{t}"
    return text


@pytest.mark.parametrize("phase", [caffelite.TRAIN, caffelite.TEST])
def test_a_block_is_its_layers(phase: int) -> None:
    one = net_of(block("numTransition: 2 growthRate: 2"), phase)
    many = net_of(layers_of(2), phase)
    stored = np.random.default_rng(3)
    for t in range(2):
        many.params[f"c{t}"][0].data[...] = one.params["d"][t].data[:, :, ::-1, ::-1]
        for of in (0, 1):  # mean and variance
            values = stored.uniform(0.5, 1, one.params["d"][6 + 2 * of + t].shape)
            one.params["d"][6 + 2 * of + t].data[...] = values
            many.params[f"n{t}"][2 + of].data[...] = values
    results = []
    for net, top in ((one, "y"), (many, "k1")):
        net.blobs["x"].data[...] = X
        net.forward()
        net.blobs[top].diff[...] = np.random.default_rng(4).normal(size=net.blobs[top].shape)
        net.backward()
        results.append((net.blobs[top].data.copy(), net.blobs["x"].diff.copy()))
    for mine, theirs in zip(*results):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)
    for t in range(2):
        for i, name, at in ((t, f"c{t}", 0), (2 + t, f"n{t}", 0), (4 + t, f"n{t}", 1)):
            mine, theirs = one.params["d"][i].diff, many.params[name][at].diff
            mine = mine[:, :, ::-1, ::-1] if i == t else mine
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_the_stored_statistics_follow_a_tenth_of_the_way() -> None:
    net = net_of(block("numTransition: 1 growthRate: 1"), caffelite.TRAIN)
    net.blobs["x"].data[...] = X
    net.forward()
    mean, variance = (net.params["d"][i].data.ravel() for i in (3, 4))
    np.testing.assert_allclose(mean, 0.1 * X.mean((0, 2, 3)))
    np.testing.assert_allclose(variance, 0.9 + 0.1 * X.var((0, 2, 3), ddof=1))


def test_what_is_dropped_has_no_gradient() -> None:
    fields = "numTransition: 1 growthRate: 4 use_dropout: true dropout_amount: 0.5"
    net, plain = (
        net_of(block(more), caffelite.TRAIN) for more in (fields, "numTransition: 1 growthRate: 4")
    )
    for each in (net, plain):
        each.blobs["x"].data[...] = X
        for i, blob in enumerate(each.params["d"]):
            blob.data[...] = plain.params["d"][i].data
        each.forward()
    y, kept = net.blobs["y"].data[:, 3:], plain.blobs["y"].data[:, 3:]
    dropped = y == 0
    assert 0.3 < dropped.mean() < 0.7
    np.testing.assert_allclose(y[~dropped], 2 * kept[~dropped])
    net.blobs["y"].diff[:, :3] = 0
    net.blobs["y"].diff[:, 3:] = dropped
    net.backward()
    assert not net.params["d"][0].diff.any() and not net.blobs["x"].diff.any()
    test = net_of(block(fields), caffelite.TEST)
    test.blobs["x"].data[...] = X
    assert (test.forward()["y"][:, 3:] != 0).all()


def test_the_work_of_a_block() -> None:
    layer = net_of(block("numTransition: 2 growthRate: 1 use_BC: true"), caffelite.TEST).layers[-1]
    products = 2 * 4 * 9 + (3 + 4) * 4
    assert layer.multiply_adds([X.shape], [(2, 5, 4, 5)]) == products * 2 * 4 * 5


def test_a_bottom_that_is_no_image() -> None:
    with pytest.raises(NetError, match="expected N x C x H x W"):
        net_of(block("numTransition: 1"), caffelite.TEST, (2, 3))
