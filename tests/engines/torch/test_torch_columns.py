"""The gradient of many weights over few places: a product, beside the convolution's own kernel."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from caffelite import TRAIN, Net
from caffelite.engines.torch.ops import convolution
from caffelite.files import parse_net

TEXT = """force_backward: true
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 3 dim: 4 dim: 7 dim: 6 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
        convolution_param { num_output: 5 SETTING weight_filler { type: "xavier" } } }
layer { name: "s" type: "Sigmoid" bottom: "c" top: "s" }
layer { name: "l" type: "Reduction" bottom: "s" top: "l" loss_weight: 1
        reduction_param { operation: SUMSQ } }
"""
SETTINGS = [
    "kernel_size: 1",
    "kernel_size: 1 stride: 2",
    "kernel_size: 3 pad: 1",
    "kernel_size: 3 stride: 2",
    "kernel_size: 2 pad: 1 dilation: 2",
    "kernel_h: 3 kernel_w: 2 pad_h: 2 pad_w: 1 stride_h: 1 stride_w: 2 bias_term: false",
]


def gradients(text: str, engine: str) -> list[np.ndarray]:
    net = Net(parse_net(text), TRAIN, seed=3, engine=engine)
    net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=(3, 4, 7, 6))
    net.clear_param_diffs()
    for _ in range(2):  # the second adds
        net.forward_backward()
    return [net.blobs["x"].diff, *(p.diff for p in net.params["c"])]


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_is_the_same_gradient(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    product = convolution.Convolution.weight_gradient
    monkeypatch.setattr(convolution, "MANY_WEIGHTS", 0)
    monkeypatch.setattr(
        convolution.Convolution,
        "weight_gradient",
        lambda self, x, dy: calls.append(0) or product(self, x, dy),
    )
    text = TEXT.replace("SETTING", setting)
    found, expected = gradients(text, "torch"), gradients(text, "numpy")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN")
    assert len(calls) == 2
    for mine, theirs in zip(found, expected):
        np.testing.assert_allclose(mine, theirs, 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("outputs", "group", "yes"), [(300, 1, True), (300, 3, False), (20, 1, False)]
)
def test_only_many_weights_over_few_places(outputs: int, group: int, yes: bool) -> None:
    """A layer with few weights, or in groups, keeps its own kernel; so does one of many places."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN")
    for side, small in ((5, yes), (40, False)):
        text = TEXT.replace("SETTING", f"kernel_size: 3 group: {group}")
        text = text.replace("num_output: 5", f"num_output: {outputs}")
        text = text.replace("dim: 4 dim: 7 dim: 6", f"dim: 300 dim: {side} dim: {side}")
        net = Net(parse_net(text), TRAIN, seed=3, engine="torch")
        net.forward()
        op = net.executor.session.op(net.layers[1], 1)  # type: ignore[attr-defined]
        assert op.by_columns == small
