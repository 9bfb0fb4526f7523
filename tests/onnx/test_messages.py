"""Models are written without the package `onnx`, as it would write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs ONNX: pip install caffelite[onnx]")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import caffelite  # noqa: E402
from caffelite.onnx import messages  # noqa: E402
from caffelite.onnx.export import OPSETS  # noqa: E402

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array([-1, 2**40]),
    np.array(True),
    np.zeros((0, 2), np.float32),
    np.array([1.5, 2.5], ">f4"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_a_tensor(array: np.ndarray) -> None:
    made = messages.tensor(array, "t")
    native = array.astype(array.dtype.newbyteorder("="))
    assert made.SerializeToString() == numpy_helper.from_array(native, "t").SerializeToString()
    back = messages.array_of(made)
    assert back.dtype == native.dtype and np.array_equal(back, array)
    assert back.shape == array.shape


def test_a_node_with_attributes_of_each_kind() -> None:
    inner = [helper.make_node("Abs", ["a"], ["b"], "n")]
    theirs = helper.make_graph(inner, "g", [], [helper.make_tensor_value_info("b", 1, None)])
    ours = messages.graph(
        [messages.node("Abs", ["a"], ["b"], "n")], "g", [], [messages.value_info("b", 1, None)], []
    )
    plain = {
        "i": 3,
        "f": 0.5,
        "s": "word",
        "ints": [1, np.int64(2)],
        "floats": [0.5, 1.0],
        "strings": ["a", "b"],
        "no_ints": (0, 0),
    }
    array = np.ones(2, np.float32)
    want = helper.make_node(
        "Op", ["x", ""], ["y"], "n", body=theirs, t=numpy_helper.from_array(array), **plain
    )
    got = messages.node("Op", ["x", ""], ["y"], "n", body=ours, t=messages.tensor(array), **plain)
    assert onnx.NodeProto.FromString(got.SerializeToString()) == want


@pytest.mark.parametrize("dims", [None, [], [1, "N", 0]])
def test_a_value(dims: list[int | str] | None) -> None:
    made = messages.value_info("v", messages.FLOAT, dims).SerializeToString()
    want = helper.make_tensor_value_info("v", TensorProto.FLOAT, dims)
    assert onnx.ValueInfoProto.FromString(made) == want


def test_the_numbers_are_those_of_the_package() -> None:
    for name, cls in messages._classes().items():
        nested = {
            "Segment": TensorProto.Segment,
            "Dimension": onnx.TensorShapeProto.Dimension,
            "Tensor": onnx.TypeProto.Tensor,
        }
        theirs = (nested.get(name) or getattr(onnx, name)).DESCRIPTOR.fields_by_name
        for field in cls.DESCRIPTOR.fields:
            assert field.number == theirs[field.name].number, field.name
    kinds = {n: getattr(onnx.AttributeProto, n) for n in ("FLOAT", "INT", "STRING", "TENSOR")}
    assert [messages._KINDS[f] for f in "fist"] == list(kinds.values())
    for opset in OPSETS:
        least = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
        graph = messages.graph([], "g", [], [], [])
        made = messages.as_onnx(messages.model(graph, opset, None, "p", "1"))
        assert made.ir_version == least and made.opset_import[0].version == opset
    assert messages.model(graph, 13, 9, "p", "1").ir_version == 9


def test_the_engine_runs_without_the_package() -> None:
    pytest.importorskip("onnxruntime")
    code = """
import sys
sys.modules["onnx"] = None
import numpy as np
from caffelite import Net, TEST
from caffelite.files import parse_net
net = Net(parse_net('''
  layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
  layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'''), TEST, engine="onnxruntime")
net.blobs["x"].data[...] = [-1, 0, 2]
print(net.forward()["y"], net.engine)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(caffelite.__file__).parents[1],
    )
    assert done.stdout == "[[0. 0. 2.]] engine onnxruntime (as asked for)\n", done.stderr
