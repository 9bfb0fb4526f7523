"""Layers of nets that tell regions apart: CRF-RNN, DeconvNet, OSVOS."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.kernels.lattice import Lattice

from . import one_layer

net = partial(one_layer.net, before="force_backward: true ")

CRF = (
    "multi_stage_meanfield_param { num_iterations: 2 theta_alpha: 3 theta_beta: 0.5 theta_gamma: 2"
)


def test_the_steps_of_a_random_field() -> None:
    """Against the definition, with the filters as matrices."""
    shape = (1, 3, 4, 5)
    field = net(f'type: "MultiStageMeanfield" {CRF} }}', shape, shape, shape)
    rng = np.random.default_rng(0)
    for name in "abc":
        field.blobs[name].data[...] = rng.standard_normal(shape)
    s, b, m = rng.standard_normal((3, 3, 3))
    for blob, value in zip(field.params["l"], (s, b, m)):
        blob.data[0, 0] = value
    field.forward()
    u, q, image = (field.blobs[n].data[0].reshape(3, -1).astype(float) for n in "abc")
    rows, columns = np.indices(shape[2:]).reshape(2, -1)
    filters = []
    for features in ([columns / 2, rows / 2], [columns / 3, rows / 3, *(image / 0.5)]):
        every = Lattice(np.stack(features, 1)).filter(np.eye(20)).T
        filters.append(every / every.sum(1, keepdims=True))
    for _ in range(2):
        p = np.exp(q) / np.exp(q).sum(0)
        q = u - m @ (s @ p @ filters[0].T + b @ p @ filters[1].T)
    np.testing.assert_allclose(field.blobs["y"].data[0].reshape(3, -1), q, rtol=1e-4, atol=1e-4)


def test_weights_start_on_the_diagonal_and_are_read_back() -> None:
    weights = "spatial_filter_weight: 3 bilateral_filter_weight: 5 }"
    field = net(f'type: "MultiStageMeanfield" {CRF} {weights}', *[(1, 3, 2, 2)] * 3)
    for blob, start in zip(field.params["l"], (3, 5, -1)):
        np.testing.assert_array_equal(blob.data[0, 0], start * np.eye(3))


@pytest.mark.parametrize(
    "layer, shapes, tops, said",
    [
        (
            f'type: "MultiStageMeanfield" {CRF} }}',
            [(1, 2, 3, 3), (1, 2, 3, 3), (1, 1, 3, 3)],
            "y",
            "N x 3 x H x W",
        ),
        (
            f'type: "MultiStageMeanfield" {CRF} }}',
            [(1, 2, 3, 3), (1, 2, 2, 3), (1, 3, 3, 3)],
            "y",
            'but "a" is 1 x 2 x 3 x 3',
        ),
        ('type: "Unpooling"', [(1, 1, 2, 2)] * 2, "y", "the size is missing"),
        (
            'type: "Unpooling" unpooling_param { unpool_size: 2 unpool_h: 3 }',
            [(1, 1, 2, 2)] * 2,
            "y",
            "the size is given twice",
        ),
        (
            'type: "Unpooling" unpooling_param { unpool: TILE unpool_size: 4 }',
            [(1, 1, 2, 2)] * 2,
            "y",
            "unpool is TILE",
        ),
        (
            'type: "Unpooling" unpooling_param { unpool_size: 4 }',
            [(2, 2)] * 2,
            "y",
            "N x C x H x W",
        ),
        (
            'type: "SigmoidCrossEntropyBalanceLoss"',
            [(1, 4), (1, 3)],
            "y",
            "a target for each prediction",
        ),
        ('type: "BN" bn_param { eps: 1 }', [(2, 3)], "ymv", "no mean and variance"),
        ('type: "BN" bn_param { bn_mode: INFERENCE }', [(2, 3)], "ym", "no mean and variance"),
        (
            'type: "BN" bn_param { slope_filler { } moving_average: false }',
            [(2, 3)],
            "y",
            "moving_average is false",
        ),
    ],
)
def test_what_is_refused(layer: str, shapes: list[tuple[int, ...]], tops: str, said: str) -> None:
    with pytest.raises(CaffeliteError, match=said):
        net(layer, *shapes, tops=tops)


def test_a_channel_number_that_changes_is_refused() -> None:
    field = net(f'type: "MultiStageMeanfield" {CRF} }}', *[(1, 3, 2, 2)] * 3)
    for name in "ab":
        field.blobs[name].reshape(1, 2, 2, 2)
    with pytest.raises(CaffeliteError, match="this layer has 3 channels"):
        field.forward()


def test_moving_averages_of_yjxiong_are_pspnets() -> None:
    stored = net('type: "BN" bn_param { moving_average: true }', (2, 3))
    assert len(stored.params["l"]) == 4


def test_deconvnet_in_its_old_format() -> None:
    text = """
      input: "x" input_dim: 1 input_dim: 1 input_dim: 4 input_dim: 4
      layers { type: POOLING bottom: "x" top: "p" top: "mask" name: "p"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
      layers { type: UNPOOLING bottom: "p" bottom: "mask" top: "u" name: "u"
        unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_size: 4 } }"""
    found = caffelite.Net(parse_net(text, "a.net"), caffelite.TEST)
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    found.blobs["x"].data[...] = x
    found.forward()
    expected = np.where(np.isin(x, (5, 7, 13, 15)), x, 0)
    np.testing.assert_array_equal(found.blobs["u"].data, expected)


def test_losses_of_each_sample_as_rfcn_first_wrote_them() -> None:
    shape = (2, 2)
    scores = net('type: "SoftmaxWithLoss" loss_weight: [1, 0, 0]', shape, (2,), tops="yps")
    assert scores.layers[-1].type == "SoftmaxWithLossOHEM"
    scores.blobs["a"].data[...] = [[0, math.log(3)], [0, 0]]
    scores.blobs["b"].data[...] = [0, 1]
    scores.forward()
    expected = [[math.log(4)], [math.log(2)]]
    np.testing.assert_allclose(scores.blobs["s"].data, expected, rtol=1e-6)
    boxes = net('type: "SmoothL1Loss" loss_weight: [1, 0]', shape, shape, tops="ys")
    assert boxes.layers[-1].type == "SmoothL1LossOHEM"
    assert net('type: "SmoothL1Loss"', shape, shape).layers[-1].type == "SmoothL1Loss"


def test_anchors_of_a_layer_with_ratios_of_its_own() -> None:
    said = "'feat_stride': 16, 'ratios': [0.5, 1], 'scales': [1, 2, 3]"
    anchors = net(
        f'type: "AnchorTarget" python_param {{ param_str: "{said}" }}',
        *[(1, 9, 4, 5), (1, 5), (1, 3)],
        tops="ltio",
        phase=0,
    )
    assert anchors.blobs["l"].shape == (1, 1, 6 * 4, 5)
