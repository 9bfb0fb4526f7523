"""caffe.Net: pycaffe's names and ways."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import caffelite
import caffelite.pycaffe as caffe
from caffelite.errors import NetError, SnapshotError

TEXT = """
name: "small" force_backward: true
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } }
  include { stage: "ip" } }
layer { name: "ip1" type: "InnerProduct" bottom: "p" top: "z" include { min_level: 1 }
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "small.prototxt"
    file.write_text(TEXT)
    return str(file)


def some(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_all_orders_of_arguments(path: str, tmp_path: Path) -> None:
    weights = str(tmp_path / "w")
    first = caffe.Net(path, caffe.TEST)
    first.save(weights)
    for net in (
        caffe.Net(path, weights, caffe.TEST),
        caffe.Net(path, caffe.TEST, weights=weights),
        caffe.Net(network_file=path, phase=caffe.TEST, weights=weights),
        caffe.Net(path, caffe.TEST, 0, None, weights),
    ):
        np.testing.assert_array_equal(net.params["conv"][0].data, first.params["conv"][0].data)
    assert list(caffe.Net(path, caffe.TEST, 1, ["ip"]).params) == ["conv", "ip", "ip1"]
    with pytest.raises(TypeError, match="phase"):
        caffe.Net(path)


def test_names_and_their_numbers(path: str) -> None:
    net = caffe.Net(path, caffe.TEST, stages=["ip"])
    assert net._layer_names == ["data", "conv", "relu", "pool", "ip"]
    assert net._blob_names == ["x", "c", "p", "y"] == list(net.blobs)
    assert (net.inputs, net.outputs) == (["x"], ["p", "y"])
    assert (net._inputs, net._outputs) == ([0], [2, 3])
    assert (net._top_ids(1), net._bottom_ids(2)) == ([1], [1])
    assert net.top_names is net.top_names
    assert net.bottom_names == OrderedDict(data=[], conv=["x"], relu=["c"], pool=["c"], ip=["c"])
    assert [layer.type for layer in net.layers][:2] == ["Input", "Convolution"]
    assert net.layer_dict["conv"].blobs[0] is net.params["conv"][0]
    assert set(net._blob_loss_weights) == {0.0}


def test_a_name_that_is_missing_is_told_with_the_closest(path: str) -> None:
    net = caffe.Net(path, caffe.TEST)
    with pytest.raises(KeyError, match="did you mean"):
        net.params["convv"]
    with pytest.raises(NetError, match=r'there is no layer "pol"(.|\n)*"pool"'):
        net.forward(end="pol")


def test_forward_all_pads_the_last_batch(path: str) -> None:
    net = caffe.Net(path, caffe.TEST)
    x = some(5, 3, 4, 4)
    found = net.forward_all(blobs=["c"], x=x)
    assert found["p"].shape == (5, 5, 1, 1) and found["c"].shape == (5, 5, 2, 2)
    np.testing.assert_allclose(found["p"][2:4], net.forward(x=x[2:4])["p"], rtol=1e-5)


def test_forward_backward_all(path: str) -> None:
    net = caffe.Net(path, caffe.TEST)
    x, d = some(3, 3, 4, 4), some(3, 5, 1, 1)
    values, gradients = net.forward_backward_all(diffs=["c"], x=x, p=d)
    assert values["p"].shape == d.shape and gradients["x"].shape == x.shape
    net.forward(x=x[:2])
    np.testing.assert_allclose(net.backward(p=d[:2])["x"], gradients["x"][:2], rtol=1e-5)
    with pytest.raises(NetError, match="neither"):
        net.forward_backward_all(w=x)


def test_inputs_must_all_be_given_and_fit_the_batch(path: str) -> None:
    net = caffe.Net(path, caffe.TEST)
    with pytest.raises(NetError, match="do not match"):
        net.forward(data=1)
    with pytest.raises(NetError, match="not the batch's size"):
        net.forward(x=some(1, 3, 4, 4))
    net.forward(x=np.ones((2, 1, 1, 1)))  # Caffe fills the rest alike
    assert (net.blobs["x"].data == 1).all()


def test_end_lets_layers_behind_it_be(path: str) -> None:
    net = caffe.Net(path, caffe.TEST, stages=["ip"])  # whose ip fits no other size
    net.blobs["x"].reshape(1, 3, 9, 7)
    net.blobs["x"].data[...] = some(1, 3, 9, 7)
    c = net.forward(end="relu")["c"]
    assert c.shape == (1, 5, 7, 5)
    net.blobs["c"].diff[...] = 1
    assert net.backward(start="relu")["x"].shape == (1, 3, 9, 7)
    with pytest.raises(NetError, match='"ip"'):
        net.forward()
    net.blobs["x"].reshape(2, 3, 4, 4)
    assert net.forward()["y"].shape == (2, 2)


def test_any_blob_may_be_reshaped_and_keeps_its_values(path: str) -> None:
    net = caffe.Net(path, caffe.TEST)
    net.blobs["x"].data[...] = x = some(2, 3, 4, 4)
    net.blobs["x"].reshape(1, 6, 4, 4)
    np.testing.assert_array_equal(net.blobs["x"].data.ravel(), x.ravel())
    net.blobs["x"].reshape(2, 3, 4, 4)
    c = net.forward(blobs=["c"])["c"].copy()
    net.blobs["c"].reshape(1, 5, 2, 4)
    np.testing.assert_array_equal(net.blobs["c"].data.ravel(), c.ravel())
    mean = c.reshape(5, 8).mean(axis=1)
    np.testing.assert_allclose(net.forward(start="pool")["p"].ravel(), mean, rtol=1e-5)
    assert net.forward()["p"].shape == (2, 5, 1, 1)  # where its layer runs it decides


def test_a_part_that_ends_before_layers_in_place_shows_what_they_would_rewrite(path: str) -> None:
    net = caffe.Net(path, caffe.TEST)
    net.blobs["x"].reshape(1, 3, 6, 5)
    net.blobs["x"].data[...] = some(1, 3, 6, 5)
    before = net.forward(end="conv")["c"].copy()
    assert before.shape == (1, 5, 4, 3) and (before < 0).any()
    net.blobs["c"].diff[...] = before
    assert net.backward(start="conv")["x"].any()
    np.testing.assert_array_equal(net.forward(end="relu")["c"], np.maximum(before, 0))
    assert net.forward()["p"].shape == (1, 5, 1, 1)


def test_parts_by_number_and_their_loss(tmp_path: Path) -> None:
    (tmp_path / "n").write_text(
        'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 1 } '
        "data_filler { value: 3 } } }"
        'layer { name: "r" type: "Reduction" bottom: "x" top: "s" loss_weight: 2 }'
    )
    net = caffe.Net(tmp_path / "n", caffe.TRAIN)
    assert net._forward(0, 0) == 0 and net._forward(0, 1) == 12 and net._forward(1, 1) == 12
    assert net._blob_loss_weights == [0, 2]
    with pytest.raises(NetError, match="from number 1 to number 0"):
        net._forward(1, 0)


def test_callbacks_around_each_layer(path: str) -> None:
    net, plain = (caffe.Net(path, caffe.TEST, 0, ["ip"]) for _ in range(2))
    plain.share_with(net)
    calls: list[tuple[str, int]] = []
    net.before_forward(lambda i: calls.append(("<", i)))
    net.after_forward(lambda i: calls.append((">", i)))
    net.before_backward(lambda i: calls.append(("[", i)))
    net.after_backward(lambda i: calls.append(("]", i)))
    x, y, p = some(2, 3, 4, 4), some(2, 2), some(2, 5, 1, 1)
    for each in (net, plain):
        each.forward(x=x)
        each.backward(y=y, p=p)
    assert calls[:4] == [("<", 0), (">", 0), ("<", 1), (">", 1)]
    assert calls[10:14] == [("[", 4), ("]", 4), ("[", 3), ("]", 3)] and len(calls) == 20
    np.testing.assert_allclose(net.blobs["x"].diff, plain.blobs["x"].diff, rtol=1e-5)
    assert net.blobs["x"].diff.any()


@pytest.mark.parametrize("engine", ["numpy", "torch", "onnxruntime"])
def test_shared_parameters_and_callbacks_on_each_engine(path: str, engine: str) -> None:
    for module in {"numpy": [], "torch": ["torch"]}.get(engine, ["onnx", "onnxruntime"]):
        pytest.importorskip(module)
    caffelite.set_engine("numpy")
    one = caffe.Net(path, caffe.TEST)
    caffelite.set_engine(engine)
    net, calls = caffe.Net(path, caffe.TEST), []
    x = some(2, 3, 4, 4)
    net.share_with(one)
    np.testing.assert_allclose(net.forward(x=x)["p"], one.forward(x=x)["p"], rtol=1e-4, atol=1e-5)
    one.params["conv"][0].data[...] *= 2
    one.params["conv"][1].data[...] = 1
    expected = one.forward(x=x)["p"]
    np.testing.assert_allclose(net.forward(x=x)["p"], expected, rtol=1e-4, atol=1e-5)
    net.after_forward(calls.append)
    np.testing.assert_allclose(net.forward(x=x)["p"], expected, rtol=1e-4, atol=1e-5)
    assert calls == [0, 1, 2, 3]


def test_a_callback_may_change_what_the_next_layer_reads(path: str) -> None:
    net = caffe.Net(path, caffe.TEST)

    def zero(layer: int) -> None:
        if layer == 1:
            net.blobs["c"].data[...] = 0

    net.after_forward(zero)
    assert not net.forward(x=some(2, 3, 4, 4))["p"].any()


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_between_layers_blobs_are_as_each_layer_left_them(
    tmp_path: Path, engine: str, phase: int
) -> None:
    """A convolution and the ReLU in place behind it are one step otherwise."""
    if engine == "torch":
        pytest.importorskip("torch")
    (tmp_path / "n").write_text("""
        layer { name: "x" type: "Input" top: "x"
                input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "c"
                convolution_param { num_output: 4 kernel_size: 3
                                    weight_filler { type: "xavier" } } }
        layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
        layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 } }
    """)
    caffelite.set_engine(engine)
    net = caffe.Net(tmp_path / "n", phase)
    least: dict[int, float] = {}
    net.after_forward(lambda i: least.update({i: float(net.blobs["c"].data.min())}))
    for _ in range(2):
        net.forward(x=some(2, 3, 6, 6))
        assert least[1] < 0 and least[2] == 0


@pytest.mark.parametrize("name", ["w", "w.caffemodel", "w.h5"])
def test_save_hdf5_and_save_whatever_the_name(path: str, tmp_path: Path, name: str) -> None:
    pytest.importorskip("h5py")
    one = caffe.Net(path, caffe.TEST)
    one.save_hdf5(tmp_path / name)
    assert (tmp_path / name).read_bytes()[1:4] == b"HDF"
    other = caffe.Net(path, caffe.TEST)
    other.load_hdf5(tmp_path / name)
    np.testing.assert_array_equal(one.params["conv"][0].data, other.params["conv"][0].data)
    one.save(tmp_path / name)
    assert (tmp_path / name).read_bytes()[1:4] != b"HDF"


def test_nothing_in_common_is_a_warning_other_shapes_an_error(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = caffe.Net(path, caffe.TEST)
    net.save(tmp_path / "w")
    (tmp_path / "other").write_text(TEXT.replace('"conv"', '"konv"'))
    (tmp_path / "wide").write_text(TEXT.replace("num_output: 5", "num_output: 6"))
    caffe.Net(tmp_path / "other", tmp_path / "w", caffe.TEST)
    line = capsys.readouterr().err
    assert line.startswith("W") and "no layer of the net is in this file" in line
    with pytest.raises(SnapshotError, match="conv"):
        caffe.Net(tmp_path / "wide", tmp_path / "w", caffe.TEST)


def test_a_file_that_a_script_has_changed_is_taken_with_a_warning(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, file = caffe.Net(path, caffe.TEST), tmp_path / "w.caffemodel"
    net.params["conv"][1].data[...] = 2
    net.save(file)
    file.write_bytes(file.read_bytes().replace(np.float32(2).tobytes(), np.float32(3).tobytes()))
    net.copy_from(file)
    assert (net.params["conv"][1].data == 3).all()
    assert capsys.readouterr().err.startswith("W")


def test_what_was_handed_out_outlives_the_net(path: str) -> None:
    net = caffe.Net(path, caffe.TRAIN)
    blobs = [*net.blobs.values(), *(b for v in net.params.values() for b in v)]
    del net
    assert sum(b.data.sum() + b.diff.sum() for b in blobs) is not None


def test_cleared_gradients_show_in_arrays_handed_out_before(path: str) -> None:
    net = caffe.Net(path, caffe.TRAIN)
    diff = net.params["conv"][0].diff
    diff[...] = 1
    net.clear_param_diffs()
    assert not diff.any()
