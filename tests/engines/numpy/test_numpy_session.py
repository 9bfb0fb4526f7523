"""The calls that the NumPy engine makes of a layer, held to the layer's own methods, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.engines.numpy.session import NumpySession
from caffelite.run.executor import Executor
from caffelite.run.session import Session, Several, flat

INPUT = 'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {} }} }} }}'
LOSS = """
layer { name: "t" type: "DummyData" top: "t" dummy_data_param { shape { dim: 6 dim: 3 }
  data_filler { value: 0.5 } } }
layer { name: "end" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
PLAIN = (
    INPUT.format("dim: 6 dim: 5")
    + """
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y"
  inner_product_param { num_output: 3 transpose: true bias_term: false
  weight_filler { type: "xavier" } } }
"""
    + LOSS
)
SHARED = (
    INPUT.format("dim: 6 dim: 3")
    + """
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h" param { name: "w" }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "r" relu_param { negative_slope: 0.1 } }
layer { name: "ip2" type: "InnerProduct" bottom: "r" top: "y" param { name: "w" }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
    + LOSS
)
FROZEN = PLAIN.replace('top: "h"\n', 'top: "h" param { lr_mult: 0 }\n', 1)
CONVOLUTION = (
    INPUT.format("dim: 6 dim: 2 dim: 5 dim: 5")
    + """
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" }
  bias_filler { value: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "y"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
    + LOSS
)


def passes(executor: Executor, x: np.ndarray) -> list[bytes]:
    """The loss and all gradients after a fresh backward pass, and after one that adds to them."""
    executor.look("x")[...] = x
    found = []
    executor.arena.clear_diff()
    for _ in range(2):
        loss = executor.forward_loss()
        executor.backward()
        found += [np.float64(loss).tobytes(), executor.arena.diff.tobytes()]
    return [*found, executor.look("y").tobytes(), executor.look("y", "diff").tobytes()]


@pytest.mark.parametrize("text", [PLAIN, SHARED, FROZEN, CONVOLUTION])
def test_same_bits_as_the_layers_own_methods(text: str, tmp_path):
    path = tmp_path / "a.net"
    path.write_text("force_backward: true " + text)
    net = caffelite.Net(path, caffelite.TRAIN, engine="numpy", seed=3)
    assert type(net.executor.session) is NumpySession
    x = np.random.default_rng(0).standard_normal(net.blobs["x"].shape).astype(np.float32)
    plain = Executor(net.plan, net.arena, net.streams, Session)
    assert passes(net.executor, x) == passes(plain, x)


def test_a_layers_calls_stand_in_the_list_themselves(tmp_path):
    path = tmp_path / "a.net"
    path.write_text(PLAIN)
    executor = caffelite.Net(path, caffelite.TRAIN, engine="numpy", seed=3).executor
    steps = {step.node.spec.name: bound for step, bound in executor.steps("forward")}
    assert [getattr(call, "func", None) for call in flat([steps["ip1"]])] == [np.dot, np.add]
    assert [call.func for call in flat([steps["relu"]])] == [np.maximum]


def test_a_convolution_does_its_relu(tmp_path):
    path = tmp_path / "a.net"
    path.write_text(CONVOLUTION)
    executor = caffelite.Net(path, caffelite.TRAIN, engine="numpy", seed=3).executor
    steps = {step.node.spec.name: bound for step, bound in executor.steps("forward")}
    assert steps["conv"].relu
    assert steps["relu"] == Several()
    executor.look("x")[...] = np.random.default_rng(0).standard_normal((6, 2, 5, 5))
    executor.forward()
    assert executor.look("c").min() == 0
