"""Layers of nets that find a flow: Correlation, Warp, Eltwise of one bottom."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net


def net(layer: str, *shapes: tuple[int, ...]) -> caffelite.Net:
    inputs = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        f"dim: [{', '.join(map(str, shape))}] }} }} }}\n"
        for name, shape in zip("ab", shapes)
    )
    bottoms = "".join(f'bottom: "{name}" ' for name in "ab"[: len(shapes)])
    text = f'{inputs}layer {{ name: "l" {bottoms}top: "y" {layer} }}'
    return caffelite.Net(parse_net(text, "a.net"), caffelite.TEST)


def test_a_correlation_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 2, 3, 6, 7))
    found = net(
        'type: "Correlation" correlation_param { pad: 2 kernel_size: 3 max_displacement: 3 '
        "stride_1: 2 stride_2: 2 }",
        a.shape,
        b.shape,
    )
    found.blobs["a"].data[...], found.blobs["b"].data[...] = a, b
    found.forward()
    y = found.blobs["y"].data
    assert y.shape == (2, 9, 1, 2)
    wide = ((0, 0), (0, 0), (2, 2), (2, 2))
    a, b = np.pad(a, wide), np.pad(b, wide)
    expected = np.empty(y.shape)
    for channel, (p, o) in enumerate((p, o) for p in (-2, 0, 2) for o in (-2, 0, 2)):
        for column in range(2):
            left = 2 * column + 3
            patch = a[:, :, 3:6, left : left + 3]
            moved = b[:, :, 3 + p : 6 + p, left + o : left + o + 3]
            expected[:, channel, 0, column] = (patch * moved).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)


def test_a_flow_of_pixels_moves_the_map() -> None:
    x = np.random.default_rng(4).standard_normal((1, 2, 4, 5)).astype(np.float32)
    found = net('type: "Warp"', x.shape, (1, 2, 4, 5))
    found.blobs["a"].data[...] = x
    found.blobs["b"].data[...] = np.array([1, -2]).reshape(1, 2, 1, 1)
    found.forward()
    y = found.blobs["y"].data
    np.testing.assert_array_equal(y[:, :, 2:, :-1], x[:, :, :-2, 1:])
    assert not y[:, :, :2].any() and not y[..., -1].any()


def test_right_on_a_pixel_the_slope_is_that_to_both_sides() -> None:
    text = (
        'force_backward: true layer { name: "a" type: "Input" top: "a" '
        "input_param { shape { dim: [1, 1, 1, 4] } } }\n"
        'layer { name: "b" type: "Input" top: "b" input_param { shape { dim: [1, 2, 1, 4] } } }\n'
        'layer { name: "l" type: "Warp" bottom: "a" bottom: "b" top: "y" loss_weight: 1 }'
    )
    found = caffelite.Net(parse_net(text), caffelite.TRAIN)
    found.blobs["a"].data[...] = [1, 2, 4, 8]
    found.blobs["b"].data[...] = 0
    found.forward()
    found.backward()
    np.testing.assert_allclose(found.blobs["b"].diff[0, 0], [[0.5, 1.5, 3, 2]])
    np.testing.assert_allclose(found.blobs["b"].diff[0, 1], [[0, 0, 0, 0]])
    np.testing.assert_allclose(found.blobs["a"].diff, [[[[1, 1, 1, 1]]]])


def test_a_flow_that_is_not_finite_points_outside() -> None:
    found = net('type: "Warp"', (1, 1, 2, 2), (1, 2, 2, 2))
    found.blobs["a"].data[...] = 1
    found.blobs["b"].data[0, 0] = [[np.nan, 0], [np.inf, 0]]
    found.forward()
    np.testing.assert_array_equal(found.blobs["y"].data[0, 0], [[0, 1], [0, 1]])


def test_eltwise_of_one_bottom_needs_a_coefficient() -> None:
    assert net('type: "Eltwise" eltwise_param { coeff: 2 }', (1, 2)).layers[-1].type == "EltwiseOne"
    with pytest.raises(CaffeliteError, match="has 1 bottom"):
        net('type: "Eltwise"', (1, 2))


@pytest.mark.parametrize(
    ("layer", "shapes", "said"),
    [
        ("correlation_param { kernel_size: 1 }", [(1, 1, 5, 5)] * 2, "max_displacement"),
        (
            "correlation_param { kernel_size: 2 max_displacement: 1 }",
            [(1, 1, 5, 5)] * 2,
            "has no middle",
        ),
        (
            "correlation_param { kernel_size: 1 max_displacement: 3 }",
            [(1, 1, 5, 5)] * 2,
            "a pad of 3 keeps the size",
        ),
        (
            "correlation_param { kernel_size: 1 max_displacement: 1 }",
            [(1, 5), (1, 5)],
            "N x C x H x W",
        ),
        ("", [(1, 1, 5, 5), (1, 3, 5, 5)], "a flow of N x 2 x H x W"),
        (
            "eltwise_param { operation: MAX coeff: 2 }",
            [(1, 2)],
            "one bottom has a sum alone",
        ),
        ("eltwise_param { coeff: [2, 3] }", [(1, 2)], "2 coefficients for 1 bottom"),
    ],
)
def test_refusals(layer: str, shapes: list[tuple[int, ...]], said: str) -> None:
    kind = {"c": "Correlation", "": "Warp", "e": "Eltwise"}[layer[:1]]
    with pytest.raises(CaffeliteError, match=r"a\.net:\d+:\d+:") as caught:
        net(f'type: "{kind}" {layer}', *shapes)
    assert said in str(caught.value)


def test_an_l1_loss_with_flownets_fields_is_flownets() -> None:
    param = "l1_loss_param { l2_per_location: true epsilon: 0 }"
    found = net(f'type: "L1Loss" {param}', (2, 2, 3), (2, 2, 3))
    assert found.layers[-1].type == "FlowL1Loss"
    found.blobs["a"].data[...] = np.array([3, 4]).reshape(1, 2, 1)
    assert float(found.forward()["y"]) == pytest.approx(5 * 3)  # each sample's three places
    assert net('type: "L1Loss"', (2, 3), (2, 3)).layers[-1].type == "L1Loss"
    assert net('type: "L1Loss"', (2, 3)).layers[-1].type == "FlowL1Loss"


@pytest.mark.parametrize(
    "layer, shapes, said",
    [
        ('type: "LpqLoss"', [(1, 2)], "0 values of p"),
        ('type: "LpqLoss" lpq_loss_param { p: [1, 2] q: [1, 1] }', [(1, 2)], "2 values of p"),
        (
            'type: "LpqLoss" lpq_loss_param { p: 1 q: 1 pq_episode_starts_at_iter: 5 }',
            [(1, 2)],
            "begin to hold later",
        ),
        ('type: "LpqLoss" lpq_loss_param { p: 1 q: 1 }', [(3,)], "N x C"),
        ('type: "LpqLoss" lpq_loss_param { p: 1 q: 1 }', [(3, 2), (3, 1)], "bottoms of one shape"),
        ('type: "Downsample"', [(1, 1, 4, 4)], "the size is missing"),
        (
            'type: "Downsample" downsample_param { top_height: 1 top_width: 2 }',
            [(1, 1, 4, 4)],
            "4 rows or columns would become 1",
        ),
        ('type: "Resample" resample_param { height: 3 }', [(1, 1, 4, 4)], "3 x 0 is no size"),
        ('type: "Resample" resample_param { height: 3 width: 3 }', [(4, 4)], "N x C x H x W"),
        (
            'type: "Resample" resample_param { height: 3 width: 3 type: AREA }',
            [(1, 1, 4, 4)],
            "type is AREA",
        ),
        ('type: "Mean" mean_param { operation: ADD }', [(1, 2)], "the mean is missing"),
        (
            'type: "Mean" mean_param { operation: ADD value: [1, 2] }',
            [(1, 3)],
            "C a multiple of 2",
        ),
        (
            'type: "Mean" mean_param { operation: ADD file: "a.binaryproto" }',
            [(1, 3)],
            "a mean image is not followed",
        ),
        ('type: "Mean" mean_param { operation: ADD value: 1 }', [(1, 2), (1, 2)], "1 tops for 2"),
    ],
)
def test_what_flow_layers_refuse(layer: str, shapes: list[tuple[int, ...]], said: str) -> None:
    with pytest.raises(CaffeliteError, match=said):
        net(layer, *shapes)


def test_values_that_are_no_numbers_leave_a_loss_and_its_slope_alone() -> None:
    text = """
      force_backward: true
      layer { name: "a" type: "Input" top: "a" input_param { shape { dim: [1, 2, 2] } } }
      layer { name: "l" type: "FlowL1Loss" bottom: "a" top: "y"
        l1_loss_param { l2_per_location: true epsilon: 0.25 } }"""
    found = caffelite.Net(parse_net(text, "a.net"), caffelite.TRAIN)
    found.blobs["a"].data[...] = [[[3, np.nan], [4, 0]]]
    assert float(found.forward()["y"]) == pytest.approx(25.25**0.5 + 0.5)
    found.backward()
    expected = [[[3 / 25.25**0.5, 0], [4 / 25.25**0.5, 0]]]
    np.testing.assert_allclose(found.blobs["a"].diff, expected, rtol=1e-5)
