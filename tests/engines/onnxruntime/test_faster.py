"""Operators that ONNX Runtime runs faster give the same values."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import TEST, Net
from caffelite.engines.onnxruntime.faster import faster
from caffelite.engines.onnxruntime.part import ranks_of
from caffelite.files import parse_net
from caffelite.onnx.export import describe
from caffelite.onnx.runtime import Runtime


def kinds_and_output(
    text: str, shape: tuple[int, ...], slope: list[float], x: np.ndarray, blocked: bool
) -> tuple[list[str], np.ndarray]:
    dims = " ".join(f"dim: {n}" for n in shape)
    given = f'layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}'
    net = Net(parse_net(given + text), TEST)
    if slope:
        net.params["p"][0].data[...] = np.resize(np.array(slope, np.float32), shape[1])
    exported = describe(net)
    model = faster(exported.model, ranks_of(exported, net.layers), blocked)
    kinds = [node.op_type for node in model.graph.node]
    return kinds, Runtime(model, 1).run({"x": x})["y"]


PRELU = 'layer { name: "p" type: "PReLU" bottom: "x" top: "y" }'


@pytest.mark.parametrize("values", ["normal", "nan", "infinite"])
@pytest.mark.parametrize(
    ("channels", "slope", "blocked", "kinds"),
    [
        (16, [0.25, 1.5, -2, 0], True, ["Relu", "Conv", "Relu", "Conv", "Add"]),
        (16, [0.25, -2, 1], False, ["Mul", "Max"]),
        (16, [0.25, -2, 0], False, ["Relu", "Min", "Mul", "Add"]),
        (3, [0.25, 1, -3], True, ["Mul", "Max"]),
        (3, [0.25, 1.5, -3], True, ["Relu", "Min", "Mul", "Add"]),
        (3, [2, 3, 4], False, ["Relu", "Min", "Mul", "Add"]),
    ],
)
def test_prelu(
    channels: int, slope: list[float], blocked: bool, kinds: list[str], values: str
) -> None:
    shape = (2, channels, 3, 5)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[0, :, 0, 0] = {"normal": 0, "nan": np.nan, "infinite": np.inf}[values]
    found, y = kinds_and_output(PRELU, shape, slope, x, blocked)
    a = np.resize(np.array(slope, np.float32), channels)[:, None, None]
    assert found == kinds
    with np.errstate(invalid="ignore"):
        assert np.array_equal(y, np.where(x > 0, x, a * x), equal_nan=True)


def test_one_slope_for_all_channels_and_rows_without_planes() -> None:
    x = np.array([[-1, 2, -3, 4]], np.float32)
    kinds, y = kinds_and_output(PRELU, (1, 4), [0.5, 2, 3, 1], x, True)
    assert kinds == ["PRelu"] and y.tolist() == [[-0.5, 2, -9, 4]]
    shared = PRELU.replace("top", "prelu_param { channel_shared: true } top")
    kinds, y = kinds_and_output(shared, (1, 4), [], x, True)
    assert kinds == ["LeakyRelu"] and y.tolist() == [[-0.25, 2, -0.75, 4]]


def test_two_of_as_many_channels_share_a_constant() -> None:
    text = PRELU.replace('top: "y"', 'top: "m"') + PRELU.replace('"x"', '"m"').replace('"p"', '"q"')
    x = np.full((1, 16, 1, 1), -2, np.float32)
    _, y = kinds_and_output(text, (1, 16, 1, 1), [0.5], x, True)
    assert (y == -0.25).all()


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_softmax_over_channels(axis: int) -> None:
    fields = f"softmax_param {{ axis: {axis} }}"
    text = f'layer {{ name: "s" type: "Softmax" bottom: "x" top: "y" {fields} }}'
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32) * 40
    kinds, y = kinds_and_output(text, x.shape, [], x, True)
    e = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    assert np.allclose(y, e / e.sum(axis, keepdims=True), atol=1e-6)
    assert kinds == (["ReduceMax", "Sub", "Exp", "ReduceSum", "Div"] if axis == 1 else ["Softmax"])
