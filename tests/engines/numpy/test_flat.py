"""Elementwise steps in tiles, neighbours together: the layers' own bits, for any tiles, threads."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.engines.numpy import flat
from caffelite.files import parse_net
from caffelite.kernels import parallel
from caffelite.run.executor import Executor
from caffelite.run.session import Session, Several

DATA = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 50 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 3 dim: 50 } } }
"""
LOSS = """
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
RELU = 'layer {{ name: "{0}" type: "ReLU" bottom: "{1}" top: "{2}" {3} }}\n'
TANH = 'layer { name: "tanh" type: "TanH" bottom: "x" top: "h" }\n'
SUM = 'layer {{ name: "sum" type: "Eltwise" {} top: "s" {} }}\n'
TWO, THREE = 'bottom: "x" bottom: "h"', 'bottom: "h" bottom: "x" bottom: "h"'
NETS = {
    "rectified sum": TANH + SUM.format(TWO, "") + RELU.format("relu", "s", "y", ""),
    "in place": TANH
    + SUM.format(TWO, "")
    + RELU.format("relu", "s", "s", "")
    + RELU.format("again", "s", "y", ""),
    "one blob twice": TANH + SUM.format(THREE, "") + RELU.format("relu", "s", "y", ""),
    "differences": TANH
    + SUM.format(TWO, "eltwise_param { coeff: 1 coeff: -1 }")
    + RELU.format("relu", "s", "y", ""),
    "largest": TANH
    + SUM.format(TWO, "eltwise_param { operation: MAX }")
    + RELU.format("relu", "s", "y", ""),
    "leaky": RELU.format("leaky", "x", "y", "relu_param { negative_slope: 0.1 }"),
}


def made(text: str) -> caffelite.Net:
    net = caffelite.Net(parse_net(DATA + text + LOSS), caffelite.TRAIN, seed=3, engine="numpy")
    for name in ("x", "t"):
        values = np.random.default_rng(len(name)).standard_normal(net.blobs[name].shape)
        net.blobs[name].data[...] = values
    return net


def passes(executor: Executor, inputs: list[np.ndarray]) -> list[bytes]:
    for name, values in zip("xt", inputs):
        executor.look(name)[...] = values
    found = [np.float64(executor.forward_loss()).tobytes()]
    executor.backward()
    for name, version in executor.plan.graph.blobs.items():
        found.append(executor.look(name).tobytes())
        if executor.plan.needs[version.maker.index].backward:
            found.append(executor.look(name, "diff").tobytes())
    return found


@pytest.mark.parametrize("size", [1, 64, 1 << 16])
@pytest.mark.parametrize("name", NETS)
def test_same_bits_as_the_layers_own(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "LEAST", 1)
    monkeypatch.setattr(flat, "TILE", size)
    monkeypatch.setattr(flat, "LARGE", 0)
    net = made(NETS[name])
    inputs = [net.blobs[n].data.copy() for n in "xt"]
    expected = passes(Executor(net.plan, net.arena, net.streams, Session), inputs)
    try:
        for threads in (1, 2):
            parallel.set_threads(threads)
            assert passes(net.executor, inputs) == expected
    finally:
        parallel.set_threads(None)


def names_of(net: caffelite.Net, direction: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for step, bound in net.executor.steps(direction):
        node = getattr(step, "node", None)
        found[node.spec.name if node else type(step).__name__] = bound
    return found


def test_neighbours_are_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "LEAST", 1)
    net = made(NETS["in place"])
    forward, backward = names_of(net, "forward"), names_of(net, "backward")
    assert forward["relu"] == forward["again"] == Several() != forward["sum"]
    assert backward["relu"] == backward["sum"] == Several() != backward["again"]


def test_small_ones_are_left_to_the_layers() -> None:
    net = made(NETS["rectified sum"])
    assert flat.LEAST > 150
    assert Several() not in names_of(net, "forward").values()
