"""Nets on ONNX Runtime: blobs, parameters and shapes that change, parts, what it does not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs ONNX: pip install caffelite[onnx]")
pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install caffelite[onnx]")

from caffelite import TEST, TRAIN, CaffeliteError, Net
from caffelite.engines.onnxruntime import part as parts
from caffelite.engines.onnxruntime.session import RuntimeSession
from caffelite.files import parse_net
from caffelite.kernels import parallel
from caffelite.onnx.runtime import Runtime

INPUT = """
layer { name: "in" type: "Input" top: "x"
  input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
"""
SMALL = """
layer { name: "one" type: "Convolution" bottom: "x" top: "a"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "act" type: "ReLU" bottom: "a" top: "a" }
layer { name: "bn" type: "BatchNorm" bottom: "a" top: "b" batch_norm_param { eps: 0.1 } }
layer { name: "two" type: "Pooling" bottom: "b" top: "c"
  pooling_param { pool: AVE kernel_size: 2 } }
layer { name: "end" type: "InnerProduct" bottom: "c" top: "y"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""
DETECT = """
layer { name: "in" type: "Input" top: "loc" top: "conf" top: "priors"
  input_param { shape { dim: 1 dim: 24 } shape { dim: 1 dim: 18 }
    shape { dim: 1 dim: 2 dim: 24 } } }
layer { name: "halve" type: "Power" bottom: "loc" top: "half" power_param { scale: 0.5 } }
layer { name: "detect" type: "DetectionOutput" bottom: "half" bottom: "conf" bottom: "priors"
  top: "rows" detection_output_param { num_classes: 3 nms_param { nms_threshold: 0.4 top_k: 6 }
  keep_top_k: 6 confidence_threshold: 0.3 code_type: CENTER_SIZE } }
"""
RNN = """
layer { name: "in" type: "Input" top: "x" top: "cont"
  input_param { shape { dim: 3 dim: 2 dim: 4 } shape { dim: 3 dim: 2 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "y"
  recurrent_param { num_output: 5 weight_filler { type: "xavier" } } }
"""


def pair(text: str = INPUT + SMALL, **more: Any) -> tuple[Net, Net]:
    """A net on NumPy and the same on ONNX Runtime, with the same inputs."""
    nets = [Net(parse_net(text), TEST, seed=3, engine=e, **more) for e in ("numpy", "onnxruntime")]
    rng = np.random.default_rng(0)
    for name in nets[0].inputs:
        x = rng.normal(size=nets[0].blobs[name].shape)
        for net in nets:
            net.blobs[name].data[...] = x
    assert isinstance(nets[1].executor.session, RuntimeSession)
    return nets[0], nets[1]


def agree(reference: Net, net: Net) -> None:
    """One pass each; the same outputs."""
    expected, found = reference.forward(), net.forward()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
        assert net.blobs[name].shape == value.shape


def blobs_agree(reference: Net, net: Net) -> None:
    for name, blob in reference.blobs.items():
        np.testing.assert_allclose(net.blobs[name].data, blob.data, rtol=1e-4, atol=1e-5)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The models that are given to ONNX Runtime."""
    made: list[object] = []

    class Counted(Runtime):
        def __init__(self, model: Any, threads: int | None = None) -> None:
            made.append(model)
            super().__init__(model, threads)

    monkeypatch.setattr(parts, "Runtime", Counted)
    return made


def outputs(model: Any) -> list[str]:
    return [x.name for x in model.graph.output]


def test_only_what_is_asked_for_comes_out_of_the_model(models: list[object]) -> None:
    reference, net = pair()
    c = net.blobs["c"].data
    agree(reference, net)
    assert set(outputs(models[0])) == {"c", "y"}
    np.testing.assert_allclose(c, reference.blobs["c"].data, rtol=1e-4, atol=1e-5)
    blobs_agree(reference, net)  # the others are computed anew
    assert len(models) == 2 and set(outputs(models[1])) == {"a", "b", "c", "y"}
    net.blobs["x"].data[...] *= 2
    reference.blobs["x"].data[...] *= 2
    agree(reference, net)
    blobs_agree(reference, net)
    assert len(models) == 2


def test_blobs_may_be_asked_for_in_the_call(models: list[object]) -> None:
    reference, net = pair()
    found, expected = net.forward(blobs=["b"]), reference.forward(blobs=["b"])
    np.testing.assert_allclose(found["b"], expected["b"], rtol=1e-4, atol=1e-5)
    assert len(models) == 1


def test_a_blob_of_other_inputs_is_refused() -> None:
    reference, net = pair()
    agree(reference, net)
    before = net.blobs["y"].data.copy()
    net.blobs["x"].data[...] += 1
    with pytest.raises(CaffeliteError, match="was not kept by the last pass"):
        net.blobs["a"].data  # noqa: B018
    assert np.array_equal(net.blobs["y"].data, before)


def test_parameters_that_change_are_seen(models: list[object]) -> None:
    reference, net = pair()
    agree(reference, net)
    for _ in range(2):  # looked at and let go
        for each in (reference, net):
            each.params["one"][0].data[0] += 0.5
        agree(reference, net)
    held = [each.params["end"][1].data[1:] for each in (reference, net)]  # a view, kept
    agree(reference, net)
    count = len(models)
    for array in held:
        array[0] = 7
    agree(reference, net)
    agree(reference, net)
    assert len(models) == count + 1
    del held, array
    agree(reference, net)
    assert not net.executor.session._watch.held and len(models) == count + 1


def test_parameters_that_somebody_else_watches_are_compared(models: list[object]) -> None:
    reference, net = pair()
    agree(reference, net)
    net.arena.watcher = lambda: None
    for change in (1, 1, 0):
        for each in (reference, net):
            each.params["one"][0].data[0] += change
        agree(reference, net)
    assert len(models) == 3


def test_arrays_that_are_held_are_seen_after_a_reshape() -> None:
    reference, net = pair()
    held = [each.params["end"][0].data for each in (reference, net)]
    for n in (2, 4):
        for each in (reference, net):
            each.blobs["x"].reshape(n, 3, 8, 8)
        agree(reference, net)
        for array in held:
            array[0] += 1
        agree(reference, net)


def test_weights_from_a_file_and_from_another_net_are_seen(tmp_path: Any) -> None:
    reference, net = pair()
    agree(reference, net)
    other = Net(parse_net(INPUT + SMALL), TEST, seed=9, engine="numpy")
    other.save(str(tmp_path / "w.caffemodel"))
    for each in (reference, net):
        each.copy_from(str(tmp_path / "w.caffemodel"))
    agree(reference, net)
    borrower = Net(parse_net(INPUT + SMALL), TEST, share=other, engine="onnxruntime")
    borrower.blobs["x"].data[...] = reference.blobs["x"].data
    agree(reference, borrower)
    other.arena.data[...] *= 1.5  # as a solver does
    for name, blobs in other.params.items():
        for mine, theirs in zip(reference.params[name], blobs):
            mine.data[...] = theirs.data
    agree(reference, borrower)


def test_the_batch_may_change_without_a_new_model(models: list[object]) -> None:
    reference, net = pair()
    agree(reference, net)
    for shape in ((5, 3, 8, 8), (1, 3, 8, 8)):
        x = np.random.default_rng(1).normal(size=shape)
        for each in (reference, net):
            each.blobs["x"].reshape(*shape)
            each.blobs["x"].data[...] = x
        agree(reference, net)
    assert len(models) == 1
    blobs_agree(reference, net)


def test_planes_may_change() -> None:
    text = INPUT + SMALL.split('layer { name: "end"')[0]
    reference, net = pair(text)
    for side in (8, 11):
        for each in (reference, net):
            each.blobs["x"].reshape(2, 3, side, side)
        agree(reference, net)


def test_parts_of_the_net() -> None:
    reference, net = pair()
    agree(reference, net)
    for each in (reference, net):
        first = each.forward(end="one")
        assert list(first) == ["a"] and first["a"].min() < 0  # before the ReLU
        each.blobs["b"].data[...] = 0.25
        each.forward(start="two")
    blobs_agree(reference, net)
    one, two = (each.forward(start="act", end="bn")["b"] for each in (reference, net))
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


def test_an_input_that_a_layer_rewrites() -> None:
    reference, net = pair(INPUT + 'layer { name: "act" type: "ReLU" bottom: "x" top: "x" }' + SMALL)
    agree(reference, net)
    blobs_agree(reference, net)


def test_an_lstm_goes_on_where_it_ended() -> None:
    reference, net = pair(RNN)
    for each in (reference, net):
        each.blobs["cont"].data[...] = 1
    for _ in range(3):
        agree(reference, net)
    for each in (reference, net):
        each.layers[1].reset()  # type: ignore[attr-defined]
    agree(reference, net)


def test_as_many_rows_as_there_are_detections() -> None:
    reference, net = pair(DETECT)
    shapes = set()
    for scale in (0.0, 1.0, 2.0):
        rng = np.random.default_rng(int(scale))
        low = rng.uniform(0, 0.6, (6, 2))
        priors = np.concatenate([low, low + 0.3], 1).ravel()
        for each in (reference, net):
            each.blobs["loc"].data[...] = np.random.default_rng(1).normal(size=(1, 24))
            each.blobs["conf"].data[...] = scale * np.random.default_rng(2).uniform(size=(1, 18))
            each.blobs["priors"].data[0] = [priors, np.full(24, 0.1)]
        agree(reference, net)
        shapes.add(net.blobs["rows"].shape)
        blobs_agree(reference, net)
    assert len(shapes) > 1
    half = net.blobs["half"].data
    np.testing.assert_allclose(half, reference.blobs["half"].data)
    for each in (reference, net):
        for name in ("loc", "conf", "priors"):
            old = each.blobs[name].data.copy()
            n = 1 if name == "priors" else 2
            each.blobs[name].reshape(n, *old.shape[1:])
            each.blobs[name].data[...] = old
    agree(reference, net)
    blobs_agree(reference, net)


def test_the_number_of_threads_is_kept_to() -> None:
    reference, net = pair()
    old = parallel.threads()
    try:
        for n in (1, 2):
            parallel.set_threads(n)
            agree(reference, net)
            (part,) = net.executor.session._parts.values()
            assert part.session.session.get_session_options().intra_op_num_threads == n
    finally:
        parallel.set_threads(old)


def test_backward_is_refused() -> None:
    _, net = pair("force_backward: true " + INPUT + SMALL)
    net.forward()
    with pytest.raises(CaffeliteError, match="runs forward passes only"):
        net.backward(y=np.ones((2, 5)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"phase": TRAIN}, "this is a net of phase TRAIN"),
        ({"dtype": np.float64}, "it computes in float32"),
        ({"loss": True}, r'it runs deploy nets, and layer "loss" \(EuclideanLoss\)'),
    ],
)
def test_what_it_does_not_run_numpy_runs(
    change: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from caffelite import engines

    monkeypatch.setattr(engines, "_said", set())
    text = INPUT + SMALL
    if change.pop("loss", False):
        text += 'layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "y" top: "l" }'
    net = Net(parse_net(text), **{"phase": TEST, **change}, engine="onnxruntime")
    assert str(net.engine) == "engine numpy (onnxruntime cannot be used)"
    (message,) = caplog.messages
    assert message.startswith("engine onnxruntime: ") and message.endswith("; numpy runs instead")
    import re

    assert re.search(why, message)


def test_a_layer_that_onnx_cannot_say(caplog: pytest.LogCaptureFixture) -> None:
    text = """
      layer { name: "in" type: "Input" top: "x"
        input_param { shape { dim: 1 dim: 2 dim: 3 dim: 2 dim: 3 dim: 2 } } }
      layer { name: "four" type: "Convolution" bottom: "x" top: "y"
        convolution_param { num_output: 2 kernel_size: 2 weight_filler { type: "xavier" } } }"""
    reference, net = pair(text)
    for _ in range(2):
        agree(reference, net)
    (message,) = caplog.messages
    assert 'layer "four" (Convolution)' in message and message.endswith("; numpy runs")
    assert net.executor.session.runs_on(1) == "numpy"


def test_the_small_ssd() -> None:
    path = str(Path(__file__).parents[3] / "nets" / "ssd_small.net")
    nets = [Net(path, TEST, seed=3, engine=e) for e in ("numpy", "onnxruntime")]
    for net in nets:
        for layer in net.layers:
            if layer.type == "BatchNorm":
                for blob, value in zip(layer.params, (0, 1, 1)):
                    blob.data[...] = value
    for batch in (1, 2):
        shape = (batch, *nets[0].blobs["data"].shape[1:])
        x = np.random.default_rng(batch).normal(size=shape)
        for net in nets:
            net.blobs["data"].reshape(*shape)
            net.blobs["data"].data[...] = x
        agree(*nets)
    blobs_agree(*nets)
