"""Verification finds what is wrong, and where it begins."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from caffelite.onnx.export import Preparation, build, export_model  # noqa: E402
from caffelite.onnx.runtime import Runtime  # noqa: E402
from caffelite.onnx.verify import check, relative_error, scales, verify  # noqa: E402

TEXT = """
  layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }
  layer { name: "one" type: "Convolution" bottom: "x" top: "a"
    convolution_param { num_output: 4 kernel_size: 3 } }
  layer { name: "bn" type: "BatchNorm" bottom: "a" top: "b" }
  layer { name: "scale" type: "Scale" bottom: "b" top: "b" scale_param { bias_term: true } }
  layer { name: "pool" type: "Pooling" bottom: "b" top: "c"
    pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
  layer { name: "best" type: "ArgMax" bottom: "c" top: "d" argmax_param { axis: 1 } }
"""


@pytest.fixture
def net() -> Net:
    made = Net(parse_net(TEXT), caffelite.TEST, seed=0)
    rng = np.random.default_rng(0)
    for layer in made.layers:
        for blob in layer.params:
            blob.data[...] = rng.uniform(0.5, 1, blob.shape)
    return made


def planted(model: object, node: str, index: int, factor: float) -> None:
    """Multiply a constant of a node."""
    graph = model.graph  # type: ignore[attr-defined]
    (found,) = [n for n in graph.node if n.name == node]
    (tensor,) = [t for t in graph.initializer if t.name == found.input[index]]
    values = onnx.numpy_helper.to_array(tensor) * np.float32(factor)
    name = tensor.name
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))


@pytest.mark.parametrize(
    ("node", "index", "layer"), [("one", 1, "one"), ("bn", 4, "bn"), ("scale", 1, "scale")]
)
def test_the_first_wrong_layer_is_named(net: Net, node: str, index: int, layer: str) -> None:
    exported = build(net)
    planted(exported.model, node, index, 1.01)
    reports = verify(exported, net)
    with (
        pytest.raises(CaffeliteError, match=f'at layer "{layer}"')
        if layer != "bn"
        else (
            pytest.raises(CaffeliteError, match='at layer "scale"')  # both make the blob "b"
        )
    ):
        check(reports, "the model")
    assert "<-- over the tolerance" in str(reports[0])


def test_an_error_below_the_tolerance_passes_and_is_shown(net: Net) -> None:
    exported = build(net)
    planted(exported.model, "one", 1, 1 + 2e-5)
    reports = verify(exported, net, tolerance=1e-3)
    check(reports, "the model")
    worst = reports[0].worst
    assert worst is not None and 1e-6 < worst.error < 1e-3
    assert f"largest error {worst.error:.1e}" in str(reports[0])


def test_every_blob_is_compared_at_each_batch(net: Net) -> None:
    reports = verify(build(net), net, batches=(1, 3))
    assert [r.inputs for r in reports] == [
        "random inputs, batch 1",
        "random inputs, batch 1, outputs",
        "random inputs, batch 3",
        "random inputs, batch 3, outputs",
    ]
    assert [row.blob for row in reports[2].rows] == ["a", "b", "c", "d"]
    assert reports[2].rows[0].shape == (3, 4, 4, 4)
    assert net.blobs["x"].shape == (2, 3, 6, 6)


def test_a_layer_that_jumps_is_judged_by_its_own_bottom(net: Net) -> None:
    """Where two channels are as good as equal, a tiny difference turns ArgMax over."""
    for blob in net.params["one"]:
        blob.data[...] = blob.data[:1]
    for name in ("bn", "scale"):
        for blob in net.params[name]:
            blob.data[...] = blob.data[:1]
    exported = build(net)
    tensor = next(t for t in exported.model.graph.initializer if t.dims == [4, 3, 3, 3])
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0] *= np.float32(1 + 3e-6)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    reports = verify(exported, net)
    row = reports[0].rows[-1]
    assert row.blob == "d" and row.error == 0 and row.note
    # but a wrong ArgMax is found all the same
    node = next(n for n in exported.model.graph.node if n.op_type == "ArgMax")
    node.op_type = "ArgMin"
    node.attribute.remove(next(a for a in node.attribute if a.name == "select_last_index"))
    with pytest.raises(CaffeliteError, match='at layer "best"'):
        check(verify(exported, net), "the model")


def test_folding_merges_and_keeps_the_last_name(net: Net) -> None:
    exported = build(net, folding=True)
    kinds = [n.op_type for n in exported.model.graph.node]
    assert kinds == ["Conv", "Pad", "AveragePool", "ArgMax", "Cast"]
    assert "a" not in exported.tensors and exported.tensors["b"] == "b"
    check(verify(exported, net), "the model")


ZEROS = """
  layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 4 dim: 4 } } }
  layer { name: "apart" type: "Deconvolution" bottom: "x" top: "a" convolution_param {
    num_output: 1 kernel_size: 1 stride: 2 pad: 1 bias_term: false } }
  layer { name: "between" type: "Interp" bottom: "a" top: "b"
    interp_param { height: 3 width: 6 } }
  layer { name: "square" type: "Power" bottom: "b" top: "c" power_param { power: 2 } }
"""


def test_zeros_are_measured_by_what_their_layer_reads() -> None:
    net = Net(parse_net(ZEROS), caffelite.TEST, seed=0)
    net.params["apart"][0].data[...] = 2
    net.forward(x=np.arange(16).reshape(1, 1, 4, 4))
    values = {name: blob.data for name, blob in net.blobs.items()}
    assert not values["b"].any()
    found = scales(net, values)
    assert found == {"x": 0, "a": 0, "b": 2 * 10, "c": 2 * 10}
    for value, right in ((1e-6, True), (1e-2, False)):
        error = relative_error(np.full_like(values["b"], value), values["b"], found["b"])
        assert (error <= 1e-4) is right
    check(verify(build(net), net), "the model")


def test_mean_and_scale_go_into_the_model(net: Net) -> None:
    mean = np.float32([104, 117, 123]).reshape(3, 1, 1)
    exported = build(net, preparations={"x": Preparation(mean, 0.017)})
    check(verify(exported, net), "the model")
    raw = np.float32(np.random.default_rng(0).integers(0, 256, (2, 3, 6, 6)))
    found = Runtime(exported.model).run({"x": raw})
    net.blobs["x"].data[...] = (raw - mean) * np.float32(0.017)
    assert np.array_equal(found["d"], net.forward()["d"])
    assert exported.model.graph.input[0].name == "x"


def test_bytes_with_all_blobs(net: Net) -> None:
    names = [x.name for x in Runtime(export_model(net, all_blobs=True)).session.get_outputs()]
    assert names == ["d", "a", "b", "c"]


def test_relative_error() -> None:
    one = np.float32([1, -4])
    assert relative_error(one + np.float32([0, 0.04]), one) == pytest.approx(0.01)
    assert relative_error(np.float32([1]), one) == np.inf
    assert relative_error(np.float32([np.nan, -4]), one) == np.inf
    assert relative_error(np.float32([np.nan]), np.float32([np.nan])) == 0


def test_a_hidden_state_goes_out_and_comes_back() -> None:
    """Two runs of three steps are one run of six, as in Caffe."""
    text = """
      layer { name: "in" type: "Input" top: "x" top: "cont"
        input_param { shape { dim: %d dim: 2 dim: 3 } shape { dim: %d dim: 2 } } }
      layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
        recurrent_param { num_output: 4 weight_filler { type: "xavier" } } }
    """
    rng = np.random.default_rng(0)
    x, cont = np.float32(rng.normal(size=(6, 2, 3))), np.ones((6, 2), np.float32)
    long = Net(parse_net(text % (6, 6)), caffelite.TEST, seed=1)
    short = Net(parse_net(text % (3, 3)), caffelite.TEST, seed=1)
    short.share_with(long)
    expected = Runtime(build(long).model).run({"x": x, "cont": cont})["h"]
    assert relative_error(long.forward(x=x, cont=cont)["h"], expected) < 1e-5
    model = Runtime(build(short).model)
    first = model.run({"x": x[:3], "cont": cont[:3]})
    state = {"lstm.h": first["lstm.h_end"], "lstm.c": first["lstm.c_end"]}
    second = model.run({"x": x[3:], "cont": cont[3:], **state})
    both = np.concatenate([first["h"], second["h"]])
    assert relative_error(both, expected) < 1e-5
