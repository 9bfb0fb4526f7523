"""Which Normalize a layer is, what NormalizeChannels gives, and a mask that DiceLoss learns."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

INPUT = 'input: "x" input_shape { dim: 2 dim: 3 dim: 2 dim: 2 }\n'


def net_of(text: str) -> caffelite.Net:
    line = f'layer {{ name: "n" type: "Normalize" bottom: "x" top: "y" {text} }}'
    return caffelite.Net(parse_net(INPUT + line), caffelite.TEST)


@pytest.mark.parametrize(
    "text, kind",
    [
        ("", "Normalize"),
        ("norm_param { across_spatial: false }", "Normalize"),
        ("softmax_param { axis: 1 }", "Normalize"),
        ('normalize_param { normalize_type: "L1" }', "NormalizeChannels"),
        ("normalize_param { }", "NormalizeChannels"),
        ('softmax_param { normalize_type: "L2" }', "NormalizeChannels"),
        ('top: "length"', "NormalizeChannels"),
    ],
)
def test_the_class(text: str, kind: str) -> None:
    assert type(net_of(text).layer_dict["n"]).__name__ == kind


def test_the_newer_field_goes_first() -> None:
    both = 'softmax_param { normalize_type: "L1" } normalize_param { normalize_type: "L2" }'
    net = net_of(both)
    net.blobs["x"].data[...] = x = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
    y = net.forward()["y"]
    np.testing.assert_allclose((y**2).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(y * np.sqrt((x**2).sum(1, keepdims=True)), x, atol=1e-5)


def test_the_lengths_pass_their_gradient_on_only_if_asked() -> None:
    def gradient(more: str) -> np.ndarray:
        net = caffelite.Net(
            parse_net(
                f'force_backward: true {INPUT} layer {{ name: "n" type: "Normalize" bottom: "x" '
                f'top: "y" top: "length" loss_weight: 0 loss_weight: 1 {more} }}'
            ),
            caffelite.TRAIN,
        )
        net.blobs["x"].data[...] = np.arange(24).reshape(2, 3, 2, 2) - 9.5
        net.forward()
        net.backward()
        return np.array(net.blobs["x"].diff)

    assert not gradient("").any()
    y = gradient("normalize_param { bp_norm: true }")
    np.testing.assert_allclose((y**2).sum(1), 1, atol=1e-5)  # ∂n/∂x is y


def test_other_norms_are_refused() -> None:
    with pytest.raises(NetError, match='normalize_type "Softmax" is not built in'):
        net_of('softmax_param { normalize_type: "Softmax" }')


def test_a_mask_is_learned() -> None:
    net = caffelite.Net(
        parse_net(
            'force_backward: true input: "x" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 } '
            'input: "t" input_shape { dim: 1 dim: 4 dim: 4 } '
            'layer { name: "l" type: "DiceLoss" bottom: "x" bottom: "t" top: "l" }'
        ),
        caffelite.TRAIN,
    )
    net.blobs["t"].data[0, 1:3, 1:4] = 1
    losses = []
    for _ in range(300):
        losses.append(net.forward()["l"].item())
        net.backward()
        net.blobs["x"].data[...] -= 20 * net.blobs["x"].diff
    assert losses[0] == pytest.approx(1 - 6 / (6 + 8), abs=1e-6) and losses[-1] < 0.01
    np.testing.assert_array_equal(net.blobs["x"].data[0, 0] > 0, net.blobs["t"].data[0] > 0)


def test_targets_of_another_count_are_refused() -> None:
    with pytest.raises(NetError, match="equally many values"):
        caffelite.Net(
            parse_net(
                'input: "x" input_shape { dim: 1 dim: 2 dim: 4 } input: "t" '
                'input_shape { dim: 1 dim: 4 } layer { name: "l" type: "DiceLoss" bottom: "x" '
                'bottom: "t" top: "l" }'
            ),
            caffelite.TRAIN,
        )
