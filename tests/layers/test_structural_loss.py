"""PL4NN's Python losses are built in: what their param_str says, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

RNG = np.random.default_rng(5)
A, B = RNG.uniform(0, 1, (2, 2, 3, 7, 7))


def net_of(layer: str, shape: tuple[int, ...] = A.shape) -> caffelite.Net:
    dims = " ".join(f"dim: {n}" for n in shape)
    text = f"""force_backward: true
      layer {{ name: "in" type: "Input" top: "a" top: "b"
        input_param {{ shape {{ {dims} }} shape {{ {dims} }} }} }}
      layer {{ name: "loss" bottom: "a" bottom: "b" top: "loss" loss_weight: 1 {layer} }}"""
    return caffelite.Net(parse_net(text, "f.net"), caffelite.TRAIN, dtype=np.float64)


def python(name: str, said: str = "{}") -> str:
    return f"type: 'Python' python_param {{ module: 'pyloss' layer: '{name}' param_str: '{said}' }}"


def loss_of(layer: str) -> float:
    net = net_of(layer)
    net.blobs["a"].data[...], net.blobs["b"].data[...] = A, B
    return float(net.forward()["loss"])


def native(fields: str) -> str:
    return f'type: "StructuralLoss" structural_loss_param {{ {fields} }}'


FIVE = "sigma: [0.5, 1, 2, 4, 8]"


@pytest.mark.parametrize(
    ("name", "said", "fields"),
    [
        ("SSIM", "{}", ""),
        ("SSIM", '{"C1": 0.2, "C2": 0.3, "sigma": 2.}', "c1: 0.2 c2: 0.3 sigma: 2"),
        ("MSSSIM", '{"C2": 0.3}', "c2: 0.3 " + FIVE),
        ("MSSSIML1", "{}", "alpha: 0.025 " + FIVE),
        ("MSSSIML1", '{"sigma": (1., 3.), "alpha": 0.5}', "alpha: 0.5 sigma: [1, 3]"),
        ("MSSSIML2", "{}", "alpha: 0.1 distance: L2 " + FIVE),
    ],
)
def test_a_python_class_is_a_structural_loss(name: str, said: str, fields: str) -> None:
    assert loss_of(python(name, said)) == pytest.approx(loss_of(native(fields)), rel=1e-6)


def test_what_is_alike_costs_nothing() -> None:
    net = net_of(native("sigma: 1 sigma: 2"))
    net.blobs["a"].data[...] = net.blobs["b"].data[...] = A
    assert float(net.forward()["loss"]) == pytest.approx(0, abs=1e-12)


def test_the_scales_count_at_their_places() -> None:
    """Luminance is of the last scale alone: a brighter patch costs the same at both orders only if
    the last one stays."""
    assert loss_of(native("sigma: [1, 2, 4]")) == pytest.approx(loss_of(native("sigma: [2, 1, 4]")))
    assert loss_of(native("sigma: [1, 4]")) != pytest.approx(loss_of(native("sigma: [4, 1]")))


def test_the_means_over_all_values() -> None:
    assert loss_of(python("L1")) == pytest.approx(np.abs(A - B).mean())
    assert loss_of(python("L2")) == pytest.approx(np.square(A - B).mean() / 2)
    assert loss_of(python("EuclideanLossLayer")) == pytest.approx(np.square(A - B).sum() / 4)
    net = net_of(python("L1"))
    net.blobs["a"].data[...], net.blobs["b"].data[...] = A, B
    net.forward()
    net.backward()
    np.testing.assert_allclose(net.blobs["a"].diff, np.sign(A - B) / A.size)


def test_what_is_refused() -> None:
    with pytest.raises(NetError, match="with an odd W"):
        net_of(native(""), (1, 3, 6, 6))
    with pytest.raises(NetError, match="with an odd W"):
        net_of(native(""), (1, 3, 5, 7))
    with pytest.raises(NetError, match='"gamma" in param_str is not known'):
        net_of(python("MSSSIM", '{"gamma": 1}'))
    with pytest.raises(NetError, match="sigma is 0 or less"):
        net_of(python("SSIM", '{"sigma": 0}'))
