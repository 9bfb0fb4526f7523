"""Layers whose gradients one kernel computes: as one by one; only where nobody looks between."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from caffelite import TRAIN, Net
from caffelite.engines.torch import fusing, session
from caffelite.files import parse_net

TEXT = """force_backward: true
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 dim: 7 dim: 6 }
                      shape { dim: 4 dim: 5 dim: 7 dim: 6 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
        convolution_param { num_output: 5 kernel_size: 3 pad: 1
                            weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "A" }
layer { name: "s" type: "Scale" bottom: "A" top: "B" SHARED
        scale_param { bias_term: BIAS filler { type: "uniform" min: 0.5 max: 2 } } }
layer { name: "r" type: "ReLU" bottom: "B" top: "B" }
layer { name: "loss" type: "EuclideanLoss" bottom: "B" bottom: "t" top: "l" }
"""


def trained(text: str, engine: str) -> Net:
    net = Net(parse_net(text), TRAIN, seed=3, dtype=np.float64, engine=engine)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for name in ("x", "t"):
            net.blobs[name].data[...] = rng.normal(size=net.blobs[name].shape)
        net.clear_param_diffs()
        net.forward_backward()
    return net


@pytest.mark.parametrize("bias", ["true", "false"])
@pytest.mark.parametrize("rate", ["", "param { lr_mult: 0 }"])
@pytest.mark.parametrize(("a", "b"), [("c", "c"), ("y", "y"), ("c", "z"), ("y", "z")])
def test_scale_and_batch_norm(
    a: str, b: str, rate: str, bias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    fuse = fusing.fuse

    def counted(*args: object) -> object:
        fused = fuse(*args)  # type: ignore[arg-type]
        found.append(any(bound.__qualname__.startswith("scale_and") for bound in fused.values()))
        return fused

    monkeypatch.setattr(session, "fuse", counted)
    text = TEXT.replace('"A"', f'"{a}"').replace('"B"', f'"{b}"')
    text = text.replace("SHARED", rate).replace("BIAS", bias)
    plain, net = trained(text, "numpy"), trained(text, "torch")
    assert any(found) == (a == b)  # else the gradient between has a name of its own
    for name in plain.blobs:
        np.testing.assert_allclose(net.blobs[name].diff, plain.blobs[name].diff, atol=1e-12)
    for name, blobs in plain.params.items():
        for one, other in zip(net.params[name], blobs):
            np.testing.assert_allclose(one.diff, other.diff, atol=1e-12)


SUM = """force_backward: true
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 dim: 7 dim: 6 } } }
layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "t" top: "A" eltwise_param { SETTING } }
layer { name: "r" type: "ReLU" bottom: "A" top: "B" relu_param { SLOPE } }
layer { name: "p" type: "Power" bottom: "B" top: "p" power_param { power: 2 } }
layer { name: "l" type: "Reduction" bottom: "p" top: "l" loss_weight: 1 }
"""


@pytest.mark.parametrize(
    ("setting", "slope", "b", "yes"),
    [
        ("", "", "a", True),
        ("", "", "b", False),
        ("", "negative_slope: 0.1", "a", False),
        ("coeff: 1 coeff: -1", "", "a", False),
        ("operation: PROD", "", "a", False),
        ("operation: MAX", "", "a", False),
    ],
)
def test_sum_and_relu(
    setting: str, slope: str, b: str, yes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    fuse = fusing.fuse

    def counted(*args: object) -> object:
        fused = fuse(*args)  # type: ignore[arg-type]
        found.append(any(bound.__qualname__.startswith("sum_and") for bound in fused.values()))
        return fused

    monkeypatch.setattr(session, "fuse", counted)
    text = SUM.replace("SETTING", setting).replace("SLOPE", slope)
    text = text.replace('"A"', '"a"').replace('"B"', f'"{b}"')
    plain, net = trained(text, "numpy"), trained(text, "torch")
    assert any(found) == yes
    for name in plain.blobs:
        np.testing.assert_allclose(net.blobs[name].data, plain.blobs[name].data, atol=1e-12)
        np.testing.assert_allclose(net.blobs[name].diff, plain.blobs[name].diff, atol=1e-12)
