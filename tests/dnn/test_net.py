"""Net, its layers and the models, under OpenCV's names."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from caffelite import dnn
from caffelite.dnn import settings
from caffelite.errors import CaffeliteError, DataError, NetError

TEXT = """
name: "small"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 2 dim: 2 } } }
layer { name: "half" type: "Power" bottom: "x" top: "x" power_param { scale: 0.5 } }
layer { name: "s" type: "Slice" bottom: "x" top: "a" top: "b" slice_param { axis: 1 } }
layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
layer { name: "r" type: "ReLU" bottom: "b" top: "c" }
layer { name: "p" type: "PReLU" bottom: "b" top: "d" }
layer { name: "loss" type: "ReLU" bottom: "b" top: "t" include { phase: TRAIN } }
layer { name: "end" type: "Softmax" bottom: "c" top: "e" }
"""
X = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2) - 6
ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("CAFFELITE_SHARED", ROOT.parent / "shared"))
REAL = sorted((SHARED / "real").glob("*.prototxt"))


def small() -> dnn.Net:
    net = dnn.readNetFromCaffe(TEXT.encode())
    net.setParam("p", 0, [0.25])
    net.setInput(X)
    return net


def test_names_and_numbers_are_opencvs() -> None:
    net = small()
    assert net.getLayerNames() == ("half", "s", "r", "r_1", "p", "end")
    assert net.getUnconnectedOutLayersNames() == ("r", "p", "end")
    assert net.getUnconnectedOutLayers().tolist() == [3, 5, 6]
    assert [net.getLayerId(n) for n in ("_input", "half", "r_1", "nope")] == [0, 1, 4, -1]
    layer = net.getLayer("p")
    assert (layer.name, layer.type, [b.shape for b in layer.blobs]) == ("p", "PReLU", [(1, 1)])
    assert net.getLayer(2).outputNameToIndex("b") == 1
    assert net.getLayer(0).outputNameToIndex("x") == 0
    assert net.getLayersCount("ReLU") == 2 and "Softmax" in net.getLayerTypes()
    assert dnn.Net().empty() and not net.empty()


def test_each_layer_shows_what_it_makes_in_place_or_not() -> None:
    net, y = small(), X / 2
    for _ in range(2):
        assert np.array_equal(net.forward("half"), y)
        assert np.array_equal(net.forward("s"), y[:, :1])
        assert np.array_equal(net.forward("r"), np.maximum(y[:, :1], 0))
        assert np.allclose(net.forward(), 1)
        s, p, r = net.forward(["s", "p", "r_1"])
        assert np.array_equal(s, y[:, :1]) and np.array_equal(r, np.maximum(y[:, 1:], 0))
        assert np.array_equal(p, np.where(y[:, 1:] < 0, y[:, 1:] / 4, y[:, 1:]))
        ((a, b),) = net.forwardAndRetrieve(["s"])
        assert np.array_equal(np.concatenate([a, b], 1), y)
        assert np.array_equal(net.forward(outBlobNames=["b"])[0], y[:, 1:])


def test_inputs_change_in_value_and_shape() -> None:
    net = small()
    first = net.forward("half")
    net.setInput(X + 1, "x", 2.0, (1, 3))
    again = net.forward("half")
    assert np.array_equal(again[0, 1], X[0, 1] + 1 - 3) and np.array_equal(first, X / 2)
    for shape in ((3, 2, 4, 5), (1, 2, 1, 1), (3, 2, 4, 5)):
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        net.setInput(x)
        assert np.array_equal(net.forward("p")[:, 0], np.where(x < 0, x / 8, x / 2)[:, 1])
        assert net.forward().shape == (shape[0], 1, *shape[2:])
    net.setInput(np.full((1, 2, 2, 2), 200, np.uint8))
    assert (net.forward("half") == 100).all()


def test_a_larger_input_is_planned_for_with_the_same_parameters() -> None:
    net = small()
    net.setInput(np.full((1, 2, 3, 3), -4.0))
    assert (net.forward("p") == -0.5).all()
    net.setParam("p", 0, [0.5])
    assert (net.forward("p") == -1).all() and net.getParam("p") == 0.5
    net.getLayer("p").blobs = [np.array([0.75])]
    assert (net.forward("p") == -1.5).all()


def test_results_stay_when_the_net_goes_on() -> None:
    net = small()
    first = net.forward("half")
    kept = first.copy()
    net.setInput(X * 3)
    net.forward("half")
    assert np.array_equal(first, kept)


def test_times_are_of_each_layer() -> None:
    net = small()
    with pytest.raises(NetError, match="nothing has run yet"):
        net.getPerfProfile()
    before = net.forward()
    total, times = net.getPerfProfile()
    assert total > 0 and times.shape == (6,) and times.sum() > 0
    assert np.array_equal(net.forward(), before)
    assert '"small"' in net.dump() or "small" in net.dump()


def test_mistakes_are_explained() -> None:
    net = small()
    with pytest.raises(NetError, match='no layer "haf"\n  did you mean "half"'):
        net.forward("haf")
    with pytest.raises(NetError, match='"y" is not an input'):
        net.setInput(X, "y")
    with pytest.raises(DataError, match="an array of numbers"):
        net.setInput(np.array(["a"]))
    with pytest.raises(NetError, match="no layer number 9: there are 1 to 6"):
        net.getLayer(9)
    with pytest.raises(NetError, match="1 parameters, no number 3"):
        net.getParam("p", 3)
    with pytest.raises(NetError, match="the net is empty"):
        dnn.Net().forward()
    bare = dnn.readNetFromCaffe(bufferProto=TEXT.encode())
    with pytest.raises(NetError, match='no input was given for "x"'):
        bare.forward()
    bare.setInput(X)
    with pytest.raises(NetError, match='there are no parameters for "p"'):
        bare.forward()
    with pytest.raises(NetError, match="has no input"):
        dnn.readNetFromCaffe(b'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { '
                             b"shape { dim: 1 } } }")  # fmt: skip


def test_a_wrong_shape_does_not_spoil_the_net() -> None:
    net = small()
    expected = net.forward()
    net.setInput(np.zeros((1, 3, 2, 2)))
    with pytest.raises(NetError):
        net.forward()
    net.setInput(X)
    assert np.array_equal(net.forward(), expected)


def test_backends_are_accepted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    settings._said.clear()
    net = small()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "caffelite"):
        for _ in range(2):
            net.setPreferableBackend(dnn.DNN_BACKEND_OPENCV)
            net.setPreferableTarget(dnn.DNN_TARGET_CPU)
            net.setPreferableBackend(dnn.DNN_BACKEND_CUDA)
            net.setPreferableTarget(dnn.DNN_TARGET_CUDA)
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        "DNN_BACKEND_CUDA",
        "DNN_TARGET_CUDA",
    ]
    with pytest.raises(CaffeliteError, match="there is no target 99"):
        net.setPreferableTarget(99)


def test_files_in_either_order_and_buffers(tmp_path: Path) -> None:
    text, model = tmp_path / "a.prototxt", tmp_path / "a.caffemodel"
    text.write_text(TEXT)
    net = small()
    net._net.save(str(model))
    raw = np.fromfile(text, np.uint8), np.fromfile(model, np.uint8)
    for read in (
        dnn.readNetFromCaffe(str(text), str(model)),
        dnn.readNetFromCaffe(text, model),
        dnn.readNetFromCaffe(*raw),
        dnn.readNet(str(model), str(text)),
        dnn.readNet(str(text), str(model)),
        dnn.readNet("caffe", raw[1], raw[0]),
    ):
        read.setInput(X)
        assert np.array_equal(read.forward("p"), net.forward("p"))
    with pytest.raises(CaffeliteError, match="not the files of a Caffe net"):
        dnn.readNet("a.onnx")
    with pytest.raises(CaffeliteError, match='framework "tensorflow"'):
        dnn.readNet(str(text), str(model), "tensorflow")
    with pytest.raises(CaffeliteError):
        dnn.readNetFromCaffe(str(text), str(tmp_path / "none.caffemodel"))
    with pytest.raises(AttributeError, match="import-onnx"):
        dnn.readNetFromONNX  # noqa: B018


DETECT = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 2 dim: 2 } } }
layer { name: "gone" type: "Silence" bottom: "x" }
layer { name: "loc" type: "DummyData" top: "loc" dummy_data_param { shape { dim: 1 dim: 8 } } }
layer { name: "conf" type: "DummyData" top: "conf" dummy_data_param {
  shape { dim: 1 dim: 4 } data_filler { type: "constant" value: %s } } }
layer { name: "box" type: "DummyData" top: "box" dummy_data_param {
  shape { dim: 1 dim: 2 dim: 8 } data_filler { type: "constant" value: 0.25 } } }
layer { name: "found" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "box"
  top: "found" detection_output_param { num_classes: 2 nms_param { nms_threshold: 0.4 }
  confidence_threshold: 0.1 keep_top_k: 1 } }
"""


def test_models() -> None:
    frame = np.full((40, 80, 3), 9, np.uint8)
    model = dnn.DetectionModel(dnn.readNetFromCaffe((DETECT % 0.75).encode()))
    with pytest.raises(CaffeliteError, match="no input size"):
        model.detect(frame)
    model.setInputParams(0.5, (6, 4), (1, 1, 1), True)
    model.setInputSize(5, 5).setInputMean((1, 2, 3)).setInputScale(1).setInputCrop(True)
    with pytest.raises(NetError):  # one channel is what the net takes
        dnn.DetectionModel(small()).setInputSize(2, 2).detect(frame)
    classes, confidences, found = model.detect(frame[:, :, 0])
    assert (classes.tolist(), confidences.tolist()) == ([1], [0.75])
    assert found.tolist() == [[20, 10, 1, 1]]
    assert model.detect(frame[:, :, 0], confThreshold=0.9) == ((), (), ())
    none = dnn.DetectionModel(dnn.readNetFromCaffe((DETECT % 0.05).encode())).setInputSize((5, 5))
    assert none.detect(frame[:, :, 0], confThreshold=0) == ((), (), ())

    text = TEXT.split('layer { name: "r"')[0].replace(
        "dim: 2 dim: 2 dim: 2", "dim: 3 dim: 1 dim: 1"
    )
    text = text.split('layer { name: "s"')[0]
    scores = dnn.ClassificationModel(dnn.readNetFromCaffe(text.encode())).setInputSize(1, 1)
    frame[:] = (2, 6, 4)
    assert scores.classify(frame) == (1, 3.0)
    assert scores.setInputSwapRB(True).setInputMean((0, 9, 0)).classify(frame) == (0, 2.0)
    scores.setEnableSoftmaxPostProcessing(True).setInputMean(0)
    assert scores.getEnableSoftmaxPostProcessing()
    best, part = scores.classify(frame)
    assert best == 1 and part == pytest.approx(np.exp(3) / np.exp([1, 2, 3]).sum())
    four = dnn.readNetFromCaffe(
        TEXT.replace("dim: 2 dim: 2 dim: 2", "dim: 4 dim: 2 dim: 2").encode()
    )
    four.setParam("p", 0, [0.5, 0.5])
    with pytest.raises(NetError, match="3 outputs: r, p, end"):
        dnn.ClassificationModel(four).setInputSize(2, 2).classify(np.zeros((4, 4, 4), np.uint8))


@pytest.mark.skipif(not REAL, reason="no nets with published weights beside the repository")
@pytest.mark.parametrize("path", REAL, ids=lambda p: p.stem)
def test_published_nets_give_opencvs_numbers(path: Path) -> None:
    net = dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    stored = np.load(path.with_suffix(".npz"))
    for key in stored.files:
        if key.startswith("in/"):
            net.setInput(stored[key], key[3:])
    names = [key[4:] for key in stored.files if key.startswith("out/")]
    for name, found in zip(names, net.forward(names)):
        expected = stored[f"out/{name}"]
        limit = 1e-4 * np.abs(expected).max()
        assert np.abs(found.reshape(expected.shape) - expected).max() < limit


def test_onnx_runtime_gives_boxes_their_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The net rewrites its input, so that all blobs come out of the model, boxes among them."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnx", reason="needs the extra onnx")
    monkeypatch.setenv("CAFFELITE_ENGINE", "onnxruntime")
    text = """
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 8 } } }
    layer { name: "half" type: "Power" bottom: "x" top: "x" power_param { scale: 0.5 } }
    layer { name: "four" type: "Slice" bottom: "x" top: "a" top: "b" slice_param { axis: 1 } }
    layer { name: "conf" type: "Sigmoid" bottom: "a" top: "conf" }
    layer { name: "box" type: "Input" top: "box" input_param { shape { dim: 1 dim: 2 dim: 4 } } }
    layer { name: "loc" type: "Power" bottom: "b" top: "loc" power_param { scale: 0 } }
    layer { name: "two" type: "Slice" bottom: "conf" top: "c" top: "d"
            slice_param { axis: 1 } }
    layer { name: "found" type: "DetectionOutput" bottom: "loc" bottom: "c" bottom: "box"
            top: "found" detection_output_param { num_classes: 2 confidence_threshold: 0.1 } }
    """
    net = dnn.readNetFromCaffe(text.encode())
    net.setInput(np.full((1, 8), 2.0))
    net.setInput(np.array([[[0.25, 0.25, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]]]), "box")
    for _ in range(2):
        found = net.forward("found")
        sure = 1 / (1 + np.exp(-1))
        assert np.allclose(found, [[[[0, 1, sure, 0.25, 0.25, 0.5, 0.5]]]], atol=1e-6)
