"""Layers that are classes of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from caffelite import dnn
from caffelite.dnn import custom
from caffelite.errors import DataError, NetError
from caffelite.layers.base import registry
from caffelite.layers.crop import Crop

TEXT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 6 dim: 8 } } }
layer { name: "like" type: "Input" top: "like" input_param { shape { dim: 1 dim: 1 dim: 3 dim: 4 } } }
layer { name: "twice" type: "Power" bottom: "x" top: "x" power_param { scale: 2 } }
layer { name: "crop" type: "Crop" bottom: "x" bottom: "like" top: "c" crop_param { axis: 2 offset: 0 offset: 1 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "r" }
"""  # noqa: E501
X = np.arange(96, dtype=np.float32).reshape(1, 2, 6, 8)
LIKE = np.zeros((1, 1, 3, 4), np.float32)


class Middle:
    """Cuts out the middle."""

    made: list[Middle] = []

    def __init__(self, params: dict[str, Any], blobs: list[Any]) -> None:
        self.params, self.blobs = params, blobs
        self.made.append(self)

    def getMemoryShapes(self, inputs: list[Any]) -> list[list[int]]:
        (n, c, height, width), (_, _, rows, columns) = inputs
        self.y, self.x = (height - rows) // 2, (width - columns) // 2
        self.rows, self.columns = rows, columns
        return [[n, c, rows, columns]]

    def forward(self, inputs: tuple[Any, ...]) -> list[Any]:
        rows, columns = (slice(a, a + n) for a, n in ((self.y, self.rows), (self.x, self.columns)))
        return [inputs[0][:, :, rows, columns]]


class Wrong(Middle):
    def forward(self, inputs: tuple[Any, ...]) -> list[Any]:
        return [inputs[0]]


class Two(Middle):
    def forward(self, inputs: tuple[Any, ...]) -> list[Any]:
        return [inputs[0], inputs[1]]


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    Middle.made.clear()
    yield
    for name in custom.registered():
        dnn.unregisterLayer(name)
    assert registry["Crop"] is Crop


def net() -> dnn.Net:
    made = dnn.readNetFromCaffe(TEXT.encode())
    made.setInput(X, "x")
    made.setInput(LIKE, "like")
    return made


def test_a_class_runs_in_place_of_a_type() -> None:
    dnn.registerLayer("Crop", Middle)
    one = net()
    assert registry["Crop"] is Crop
    want = 2 * X[:, :, 1:4, 2:6]
    assert np.array_equal(one.forward(), want) and np.array_equal(one.forward("crop"), want)
    assert Middle.made[-1].params == {"axis": 2, "offset": (0, 1)} and not Middle.made[-1].blobs
    one.setInput(np.zeros((1, 1, 2, 2), np.float32), "like")
    assert np.array_equal(one.forward(), 2 * X[:, :, 2:4, 3:5])
    one.setInput(LIKE, "like")
    assert np.array_equal(one.forward(), want)
    assert one.getLayer("crop").type == "Crop"


def test_a_net_that_is_there_takes_it_at_its_next_pass() -> None:
    one, own = net(), 2 * X[:, :, :3, 1:5]
    assert np.array_equal(one.forward(), own)
    dnn.registerLayer("Crop", Middle)
    assert np.array_equal(one.forward(), 2 * X[:, :, 1:4, 2:6])
    dnn.unregisterLayer("Crop")
    assert np.array_equal(net().forward(), own)


def test_a_type_that_nobody_knows_and_its_parameters() -> None:
    class Scaled:
        def __init__(self, params: dict[str, Any], blobs: list[Any]) -> None:
            self.blobs = blobs

        def getMemoryShapes(self, inputs: list[Any]) -> list[Any]:
            return [inputs[0]]

        def forward(self, inputs: tuple[Any, ...]) -> list[Any]:
            return [inputs[0] * self.blobs[0].reshape(1, -1)]

    dnn.registerLayer("Scaled", Scaled)
    text = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "s" type: "Scaled" bottom: "x" top: "s" }
"""
    param = custom.params_of(dnn.readNetFromCaffe(text.encode())._nodes[0].spec)
    assert param == {}
    from caffelite.schema.binary import encode
    from caffelite.schema.common import BlobProto, BlobShape
    from caffelite.schema.net import LayerParameter, NetParameter

    blob = BlobProto(shape=BlobShape(dim=[3]), data=[1.0, 2.0, 3.0])
    stored = NetParameter(layer=[LayerParameter(name="s", type="Scaled", blobs=[blob])])
    one = dnn.readNetFromCaffe(text.encode(), encode(stored))
    one.setInput(np.ones((2, 3), np.float32))
    assert np.array_equal(one.forward(), [[1, 2, 3]] * 2)
    one.setParam("s", 0, [0, 1, 0])
    assert np.array_equal(one.forward(), [[0, 1, 0]] * 2)


def test_a_class_that_does_not_do_is_said() -> None:
    with pytest.raises(DataError, match="no getMemoryShapes and no forward"):
        dnn.registerLayer("Crop", object)
    dnn.registerLayer("Crop", Wrong)
    with pytest.raises(NetError, match=r'"crop": Wrong.forward gives 1 x 2 x 6 x 8 .*but'):
        net().forward()
    dnn.registerLayer("Crop", Two)
    with pytest.raises(NetError, match=r"Two.forward gives 2, but the layer has 1"):
        net().forward()


def test_what_a_class_is_given_of_the_text() -> None:
    text = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 2 dim: 2 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 1
  bias_term: false kernel_size: 1 weight_filler { type: "xavier" } engine: CAFFE } }
"""
    spec = dnn.readNetFromCaffe(text.encode())._nodes[0].spec
    assert custom.params_of(spec) == {
        "num_output": 1,
        "bias_term": 0,
        "kernel_size": 1,
        "type": "xavier",
        "engine": "CAFFE",
    }
