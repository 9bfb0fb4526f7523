"""Layers that forks fused are taken apart: the same numbers as Caffe's own, and names that fit."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from caffelite import TEST, Net
from caffelite.errors import CaffeliteError, NetError
from caffelite.files import parse_net

INPUT = 'input: "x" input_shape { dim: 2 dim: 3 dim: 6 dim: 6 } '
CONV = "num_output: 4 kernel_size: 3"
POOL = "pooling_param { kernel_size: 2 stride: 2 }"


def layer(name: str, kind: str, bottom: str, top: str, rest: str) -> str:
    bottoms = " ".join(f'bottom: "{b}"' for b in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top}" {rest} }} '


def outputs(text: str) -> dict[str, np.ndarray]:
    net = Net(parse_net(INPUT + text, "m.net"), TEST, dtype=np.float64)
    rng = np.random.default_rng(0)
    net.blobs["x"].data[...] = rng.normal(size=net.blobs["x"].shape)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = rng.normal(size=blob.shape)
    assert list(net.params) == ["c"]  # weights are found by it
    return {name: value.copy() for name, value in net.forward().items()}


FUSED = [
    (
        layer("c", "ConvolutionReLU", "x", "y", f"convolution_param {{ {CONV} }}"),
        layer("c", "Convolution", "x", "a", f"convolution_param {{ {CONV} }}")
        + layer("r", "ReLU", "a", "y", ""),
    ),
    (
        layer(
            "c",
            "ConvolutionReLUPoolLRN",
            "x",
            "y",
            f"convolution_param {{ {CONV} }} {POOL} lrn_param {{ local_size: 3 alpha: 2 }} "
            "relu_param { negative_slope: 0.5 }",
        ),
        layer("c", "Convolution", "x", "a", f"convolution_param {{ {CONV} }}")
        + layer("r", "ReLU", "a", "b", "relu_param { negative_slope: 0.5 }")
        + layer("p", "Pooling", "b", "d", POOL)
        + layer("n", "LRN", "d", "y", "lrn_param { local_size: 3 alpha: 2 }"),
    ),
    (
        layer("c", "InnerProductReLUDropout", "x", "a", "inner_product_param { num_output: 3 }")
        + layer("p", "ReLUPooling", "x", "y", POOL),
        layer("c", "InnerProduct", "x", "b", "inner_product_param { num_output: 3 }")
        + layer("r", "ReLU", "b", "a", "")
        + layer("q", "ReLU", "x", "d", "")
        + layer("p", "Pooling", "d", "y", POOL),
    ),
    (
        layer("c", "MKLConvolution", "x", "y", f"convolution_param {{ {CONV} }}")
        + layer("r", "MKLReLU", "y", "y", ""),
        layer("c", "Convolution", "x", "a", f"convolution_param {{ {CONV} }}")
        + layer("r", "ReLU", "a", "y", ""),
    ),
    (
        layer(
            "c",
            "Convolution",
            "x x",
            "y",
            "convolution_param { num_output: 3 kernel_size: 1 fuse_type: FUSED_CONV_ELTWISE_RELU "
            "eltwise_param { coeff: 1 coeff: -2 } relu_param { negative_slope: 0.1 } }",
        ),
        layer("c", "Convolution", "x", "a", "convolution_param { num_output: 3 kernel_size: 1 }")
        + layer("e", "Eltwise", "a x", "b", "eltwise_param { coeff: 1 coeff: -2 }")
        + layer("r", "ReLU", "b", "y", "relu_param { negative_slope: 0.1 }"),
    ),
    (
        layer(
            "c",
            "Convolution",
            "x",
            "a",
            f"convolution_param {{ {CONV} relu: true negative_slope: 0.25 }}",
        )
        + layer(
            "n",
            "LRN",
            "a",
            "y",
            "lrn_param { alpha: 3 fuse_type: FUSED_POOL_MAX pooling_param { kernel_size: 2 } }",
        ),
        layer("c", "Convolution", "x", "b", f"convolution_param {{ {CONV} }}")
        + layer("r", "ReLU", "b", "a", "relu_param { negative_slope: 0.25 }")
        + layer("n", "LRN", "a", "d", "lrn_param { alpha: 3 }")
        + layer("p", "Pooling", "d", "y", "pooling_param { kernel_size: 2 }"),
    ),
]


@pytest.mark.parametrize(("fused", "plain"), FUSED)
def test_the_numbers_are_those_of_caffes_own_layers(
    fused: str, plain: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        found = outputs(fused)
    assert "fused layers of forks were taken apart (c" in caplog.text
    wanted = outputs(plain)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, wanted[name])
        assert np.abs(value).max() > 0


def test_parts_have_names_and_rules_of_their_own() -> None:
    rest = f"convolution_param {{ {CONV} }} {POOL} include {{ phase: TEST }} param {{ lr_mult: 3 }}"
    net = parse_net(
        layer("s", "Split", "x", "c/relu", "")
        + layer("c", "ConvolutionReLUPool", "c/relu", "y", rest)
        + layer("c/relu", "Split", "y", "c/out", "")
    )
    parts = net.layer[1:-1]
    assert [(part.name, part.type) for part in parts] == [
        ("c", "Convolution"),
        ("c/relu_", "ReLU"),
        ("c/pool", "Pooling"),
    ]
    assert [(part.bottom, part.top) for part in parts] == [
        (["c/relu"], ["c/out_"]),
        (["c/out_"], ["c/out_"]),
        (["c/out_"], ["y"]),
    ]
    assert all(part.include[0].phase == TEST for part in parts)
    assert [len(part.param) for part in parts] == [1, 0, 0]


def test_what_is_not_fused_stays_one_layer() -> None:
    text = layer("c", "Convolution", "x", "y", f"convolution_param {{ {CONV} fuse_type: UNFUSED }}")
    net = Net(parse_net(INPUT + text, "m.net"), TEST)
    assert [layer.type for layer in net.layers] == ["Input", "Convolution"]


def test_what_cannot_be_taken_apart_is_refused() -> None:
    fields = f"{CONV} fuse_type: FUSED_CONV_PRELU prelu_param {{ }}"
    text = layer("c", "Convolution", "x", "y", f"convolution_param {{ {fields} }}")
    with pytest.raises(NetError, match="fuse_type is a field of the forks that fuse layers"):
        Net(parse_net(INPUT + text, "m.net"), TEST)


def test_a_mistake_within_is_shown_where_it_is() -> None:
    fields = f"{CONV} fuse_type: FUSED_CONV_RELU relu_param {{ slope: 1 }}"
    text = layer("c", "Convolution", "x", "y", f"convolution_param {{ {fields} }}")
    with pytest.raises(CaffeliteError, match=r'm.net:1:\d+: ReLUParameter has no field "slope"'):
        parse_net(INPUT + text, "m.net")
