"""Folding: what is merged into which layer, and to what values."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.files import parse_net

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from onnx import numpy_helper  # noqa: E402

from caffelite.onnx.export import build  # noqa: E402
from caffelite.onnx.verify import check, verify  # noqa: E402

FIRST = {
    "Conv": 'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 }',
    "ConvTranspose": 'type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 2 '
    "stride: 2 group: 2 bias_term: false }",
    "Gemm": 'type: "InnerProduct" inner_product_param { num_output: 4 }',
}
NORMS = {
    "BatchNorm": 'type: "BatchNorm" batch_norm_param { eps: 0.75 }',
    "scale_bias": 'type: "BatchNorm" batch_norm_param { eps: 0.75 scale_bias: true }',
    "PSPNet": 'type: "BN" bn_param { eps: 0.75 momentum: 0.5 }',
    "SegNet": 'type: "BN" bn_param { bn_mode: INFERENCE }',
}
"""With these eps, and variances of 0.25, all roots are 1."""


def made(first: str, norm: str, again: str = "") -> Net:
    text = f"""
      layer {{ name: "in" type: "Input" top: "x"
        input_param {{ shape {{ dim: 2 dim: 2 dim: 5 dim: 5 }} }} }}
      layer {{ name: "first" bottom: "x" top: "a" {FIRST[first]} }}
      layer {{ name: "norm" bottom: "a" top: "a" {norm} }} {again}"""
    net = Net(parse_net(text), caffelite.TEST, seed=0)
    rng = np.random.default_rng(0)
    for layer in net.layers:
        for blob in layer.params:
            blob.data[...] = rng.integers(1, 5, blob.shape) / 4
    return net


def whole(net: Net, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Factor and shift of each channel, by the layer's formula. Sets its statistics."""
    params = [p.data for p in net.params["norm"]]
    if norm == "SegNet":
        return params[0].ravel(), params[1].ravel()
    mean, variance = params[2:] if norm == "PSPNet" else params[:2]
    variance[...] = 0.25
    if norm != "PSPNet":
        params[2][...] = 1
    scale, shift = {
        "BatchNorm": (np.ones(4), np.zeros(4)),
        "scale_bias": params[3:],
        "PSPNet": params[:2],
    }[norm]
    return scale.ravel(), (shift - mean.reshape(shift.shape) * scale).ravel()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("first", FIRST)
def test_a_norm_is_merged_to_the_bit(first: str, norm: str) -> None:
    net = made(first, NORMS[norm])
    factor, shift = whole(net, norm)
    exported = build(net, folding=True)
    (node,) = exported.model.graph.node if first != "Gemm" else exported.model.graph.node[-1:]
    assert node.op_type == first and list(node.output) == ["a"]
    values = {t.name: numpy_helper.to_array(t) for t in exported.model.graph.initializer}
    weight = net.params["first"][0].data
    bias = net.params["first"][1].data if len(net.params["first"]) > 1 else np.zeros(4)
    by = factor.reshape(4, *[1] * (weight.ndim - 1))
    if first == "ConvTranspose":  # (C, M/group, …): two groups of one channel each
        by = factor.reshape(2, 2, 1, 1)
    assert np.array_equal(values[node.input[1]], np.float32(weight * by))
    assert np.array_equal(values[node.input[2]], np.float32(bias * factor + shift))
    check(verify(exported, net, tolerance=1e-6), "the model")


def test_a_chain_of_all_kinds_is_one_convolution() -> None:
    more = "\n".join(
        f'layer {{ name: "n{i}" bottom: "a" top: "a" {text} }}'
        for i, text in enumerate([*NORMS.values(), 'type: "Bias"', 'type: "Scale"'])
    )
    net = made("Conv", 'type: "Scale" scale_param { bias_term: true }', more)
    exported = build(net, folding=True)
    assert [n.op_type for n in exported.model.graph.node] == ["Conv"]
    check(verify(exported, net, tolerance=2e-6), "the model")


@pytest.mark.parametrize(
    "norm",
    [
        'type: "BatchNorm" batch_norm_param { use_global_stats: false scale_bias: true }',
        'type: "BN" bn_param { scale_filler { value: 1 } }',
    ],
)
def test_statistics_of_the_batch_are_not_merged(norm: str) -> None:
    exported = build(made("Conv", norm), folding=True)
    assert len(exported.model.graph.node) > 2
