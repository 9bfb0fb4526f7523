"""Channels that are filled up to blocks, and where they must not be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import TEST, Net
from caffelite.engines.onnxruntime.filling import fill
from caffelite.engines.onnxruntime.part import with_outputs
from caffelite.files import parse_net
from caffelite.onnx.export import describe
from caffelite.onnx.runtime import Runtime

INPUT = """layer { name: "in" type: "Input" top: "x"
  input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } } }"""


def conv(name: str, bottom: str, top: str, count: int, more: str = "") -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top}" {more}
      convolution_param {{ num_output: {count} kernel_size: 2 weight_filler {{ type: "xavier" }}
        bias_filler {{ type: "uniform" min: -1 }} }} }}"""


PRELU = """layer { name: "p" type: "PReLU" bottom: "c" top: "c"
  prelu_param { filler { type: "uniform" min: -1 max: 2 } } }"""
SHARED = 'param { name: "w" } param { name: "b" }'
POOL = """layer { name: "m" type: "Pooling" bottom: "c" top: "m"
  pooling_param { kernel_size: 2 stride: 2 } }"""


def channels(text: str, asked: list[str] | None = None) -> list[int]:
    """How many filters each convolution has then; the values must stay."""
    net = Net(parse_net(INPUT + text), TEST, seed=1, engine="numpy")
    exported = describe(net)
    model: Any = with_outputs(exported, asked or list(net.outputs))
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8)).astype(np.float32)
    before = Runtime(model, 1).run({"x": x})
    fill(model)
    after = Runtime(model, 1).run({"x": x})
    for name, values in before.items():
        assert values.shape == after[name].shape and np.allclose(values, after[name], atol=1e-5)
    counts = {t.name: t.dims[0] for t in model.graph.initializer}
    return [counts[n.input[1]] for n in model.graph.node if n.op_type == "Conv"]


def test_up_to_the_next_convolution() -> None:
    chain = conv("a", "x", "c", 10) + PRELU + POOL + conv("b", "m", "y", 4)
    assert channels(chain) == [16, 4]
    relu = (
        'layer { name: "r" type: "ReLU" bottom: "c" top: "r" relu_param { negative_slope: 0.1 } }'
    )
    two = conv("a", "x", "c", 17) + relu + conv("b", "r", "d", 9) + conv("e", "d", "y", 9)
    assert channels(two) == [32, 16, 9]
    shared = PRELU.replace("prelu_param {", "prelu_param { channel_shared: true")
    assert channels(conv("a", "x", "c", 10) + shared + conv("b", "c", "y", 4)) == [16, 4]


@pytest.mark.parametrize(
    "text",
    [
        conv("a", "x", "c", 7) + conv("b", "c", "y", 4),  # few
        conv("a", "x", "c", 16) + conv("b", "c", "y", 4),  # full
        conv("a", "x", "c", 10) + PRELU + POOL,  # no convolution after it
        conv("a", "x", "c", 10) + conv("b", "c", "y", 4) + conv("e", "c", "z", 4),  # read twice
        conv("a", "x", "c", 10) + 'layer { name: "s" type: "Sigmoid" bottom: "c" top: "s" }'
        + conv("b", "s", "y", 4),
        conv("a", "x", "c", 10, SHARED) + conv("b", "c", "y", 4) + conv("e", "x", "z", 10, SHARED),
    ],
    ids=["few", "full", "no end", "read twice", "not zero for zero", "shared"],
)  # fmt: skip
def test_where_it_is_left(text: str) -> None:
    net = Net(parse_net(INPUT + text), TEST)
    given = [x.param.num_output for x in net.layers if x.type == "Convolution"]
    assert channels(text) == given


def test_what_is_asked_for_is_left() -> None:
    chain = conv("a", "x", "c", 10) + conv("b", "c", "y", 4)
    assert channels(chain, ["c", "y"]) == [10, 4]
    assert channels(chain, ["y"]) == [16, 4]


def test_groups_are_left() -> None:
    first = conv("a", "x", "c", 10)
    grouped = conv("b", "c", "y", 10).replace("num_output", "group: 5 num_output")
    assert channels(first + grouped) == [10, 10]
    threes = conv("a", "x", "c", 12).replace("num_output", "group: 3 num_output")
    assert channels(threes + conv("b", "c", "y", 4)) == [12, 4]
