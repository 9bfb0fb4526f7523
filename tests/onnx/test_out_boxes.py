"""Layers that find boxes in ONNX, and nets that read what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.cli import main
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from caffelite.onnx.export import build  # noqa: E402
from caffelite.onnx.importing import import_model, verify_import  # noqa: E402
from caffelite.onnx.runtime import Runtime  # noqa: E402
from caffelite.onnx.verify import check, verify  # noqa: E402

from .random_boxes import KINDS, random_boxes  # noqa: E402
from .sweep import check_boxes  # noqa: E402


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_a_random_layer_gives_caffelites_rows(kind: str, seed: int) -> None:
    check_boxes(seed, kind)


FASTER = """
  layer { name: "in" type: "Input" top: "data" top: "im_info"
    input_param { shape { dim: 1 dim: 3 dim: 48 dim: 64 } shape { dim: 1 dim: 3 } } }
  layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
    convolution_param { num_output: 8 kernel_size: 8 stride: 8 weight_filler { type: "xavier" } } }
  layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
  layer { name: "score" type: "Convolution" bottom: "conv" top: "score"
    convolution_param { num_output: 6 kernel_size: 1 weight_filler { type: "xavier" } } }
  layer { name: "two" type: "Reshape" bottom: "score" top: "two"
    reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } } }
  layer { name: "prob" type: "Softmax" bottom: "two" top: "prob" }
  layer { name: "back" type: "Reshape" bottom: "prob" top: "back"
    reshape_param { shape { dim: 0 dim: 6 dim: -1 dim: 0 } } }
  layer { name: "move" type: "Convolution" bottom: "conv" top: "move"
    convolution_param { num_output: 12 kernel_size: 1 weight_filler { type: "xavier" } } }
  layer { name: "find" bottom: "back" bottom: "move" bottom: "im_info" top: "rois" %s }
  layer { name: "pool" type: "ROIPooling" bottom: "conv" bottom: "rois" top: "pool"
    roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.125 } }
  layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
    inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
  layer { name: "fc_relu" type: "ReLU" bottom: "fc" top: "fc" }
  layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }
  layer { name: "box" type: "InnerProduct" bottom: "fc" top: "box"
    inner_product_param { num_output: 8 weight_filler { type: "xavier" } } }
  layer { name: "cls" type: "InnerProduct" bottom: "fc" top: "cls"
    inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
  layer { name: "cls_prob" type: "Softmax" bottom: "cls" top: "cls_prob" }
"""
PROPOSAL = """type: "Proposal" proposal_param { feat_stride: 8 scale: 1 min_size: 3 base_size: 16
  post_nms_topn: 9 }"""
PYTHON = """type: "Python" python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
  param_str: "'feat_stride': 8, 'scales': [2]" }"""


@pytest.mark.parametrize("find", [PROPOSAL, PYTHON], ids=["Proposal", "Python"])
def test_layers_read_regions_whose_number_depends_on_values(find: str) -> None:
    net = Net(parse_net(FASTER % find), caffelite.TEST, seed=1)
    exported = build(net)
    onnx.checker.check_model(exported.model, full_check=True)
    assert any("batch cannot vary" in note for note in exported.notes)
    reports = verify(exported, net)
    check(reports, "the model")
    assert {r.blob for r in reports[0].rows} >= {"rois", "pool", "fc", "cls_prob"}
    dims = {
        x.name: [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
        for x in exported.model.graph.output
    }
    assert dims == {"box": ["find_rows", 8], "cls_prob": ["find_rows", 3]}
    rows = set()
    for seed in range(3):
        x = np.float32(np.random.default_rng(seed).normal(size=(1, 3, 48, 64)))
        info = np.float32([[48, 64, 1]])
        found = Runtime(exported.model).run({"data": x, "im_info": info})
        expected = net.forward(data=x, im_info=info)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
        rows.add(len(found["box"]))
    assert len(rows) > 1 or find == PROPOSAL


def test_what_is_behind_other_rows_is_judged_by_them() -> None:
    """Two scores that are as good as equal: a tiny difference turns the order of rows over."""
    net = Net(parse_net(FASTER % PROPOSAL), caffelite.TEST, seed=1)
    score, move = net.params["score"], net.params["move"]
    score[0].data[...] = 0
    score[1].data[...] = [0, 0, 0, 1, 1, 1]  # all are equal, but not in the model
    move[0].data[...] *= 0.01
    exported = build(net)
    tensor = next(t for t in exported.model.graph.initializer if t.dims == [6])
    tensor.CopyFrom(
        onnx.numpy_helper.from_array(np.float32([0, 0, 0, 1, 1 + 2e-7, 1 + 4e-7]), tensor.name)
    )
    reports = verify(exported, net)
    check(reports, "the model")
    notes = {row.blob: row.note for row in reports[0].rows}
    assert notes["rois"] == notes["fc"] == notes["cls_prob"] == "on the model's own bottoms"
    assert not notes["prob"]
    # but what is wrong there is found all the same
    weights = next(t for t in exported.model.graph.initializer if t.dims == [7, 48])
    values = onnx.numpy_helper.to_array(weights) * np.float32(1.01)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    with pytest.raises(CaffeliteError, match='blob "fc"'):
        check(verify(exported, net), "the model")


LSTM = """
  layer { name: "in" type: "Input" top: "x" top: "cont"
    input_param { shape { dim: 8 dim: 3 } shape { dim: 8 } } }
  layer { name: "walk" type: "Lstm" bottom: "x" bottom: "cont" top: "y"
    lstm_param { num_output: 4 batch_size: 2 weight_filler { type: "xavier" } } }
"""


def test_an_lstm_of_rows_goes_on_where_it_ended() -> None:
    net = Net(parse_net(LSTM), caffelite.TEST, seed=1)
    exported = build(net)
    check(verify(exported, net), "the model")
    assert exported.states == {f"walk.{name}": (1, 2, 4) for name in "hc"}
    rng, runtime, state = np.random.default_rng(0), Runtime(exported.model), {}
    net = Net(parse_net(LSTM), caffelite.TEST, seed=1)
    for _ in range(3):
        x, cont = np.float32(rng.normal(size=(8, 3))), np.ones(8, np.float32)
        found = runtime.run({"x": x, "cont": cont, **state})
        state = {f"walk.{name}": found[f"walk.{name}_end"] for name in "hc"}
        np.testing.assert_allclose(
            found["y"], net.forward(x=x, cont=cont)["y"], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("steps", [64, 65])
def test_many_steps_are_a_scan(kind: str, steps: int) -> None:
    text = f"""
      layer {{ name: "in" type: "Input" top: "x" top: "cont"
        input_param {{ shape {{ dim: {steps} dim: 2 dim: 3 }} shape {{ dim: {steps} dim: 2 }} }} }}
      layer {{ name: "walk" type: "{kind}" bottom: "x" bottom: "cont" top: "y"
        recurrent_param {{ num_output: 2 weight_filler {{ type: "xavier" }} }} }}"""
    net = Net(parse_net(text), caffelite.TEST, seed=1)
    exported = build(net)
    kinds = [n.op_type for n in exported.model.graph.node]
    assert ("Scan" in kinds) is (steps > 64)
    check(verify(exported, net), "the model")


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "CTCGreedyDecoder"])
def test_they_are_had_back(kind: str) -> None:
    for seed in range(3):
        text, inputs = random_boxes(seed, kind)
        model = build(Net(parse_net(text), caffelite.TEST)).model
        imported = import_model(model, {name: value.shape for name, value in inputs.items()})
        net = imported.fill(Net(imported.net, caffelite.TEST, seed=0))
        check([verify_import(imported, net, given=inputs)], "the net")
        assert net.layers[-1].type == kind


def test_rows_of_two_layers_are_joined() -> None:
    text = """
      layer { name: "in" type: "Input" top: "rois"
        input_param { shape { dim: 6 dim: 5 } } }
      layer { name: "small" type: "ScaleRoute" bottom: "rois" top: "a"
        scale_route_param { high_scale: 20 } }
      layer { name: "large" type: "ScaleRoute" bottom: "rois" top: "b"
        scale_route_param { low_scale: 20 } }
      layer { name: "all" type: "Concat" bottom: "a" bottom: "b" top: "c"
        concat_param { axis: 0 } }
      layer { name: "half" type: "Power" bottom: "c" top: "d" power_param { scale: 0.5 } }"""
    net = Net(parse_net(text), caffelite.TEST)
    exported = build(net)
    low = np.random.default_rng(0).integers(0, 30, (6, 2))
    rois = np.concatenate([np.zeros((6, 1)), low, low + [[3, 5], [40, 20]] * 3], 1)
    check(verify(exported, net, given={"rois": np.float32(rois)}), "the model")
    assert net.blobs["d"].shape == (6, 5)
    assert [str(d) for d in exported.outputs["d"]] == ["half_0_0", "5"]


def test_a_layer_that_wants_a_fixed_number_of_rows_is_an_error() -> None:
    text = (
        FASTER % PROPOSAL
        + """
      layer { name: "one" type: "InnerProduct" bottom: "rois" top: "one"
        inner_product_param { num_output: 2 axis: 0 } }"""
    )
    with pytest.raises(CaffeliteError, match='"one": the shapes of its parameters depend on it'):
        build(Net(parse_net(text), caffelite.TEST))


def test_the_command_exports_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.net").write_text(FASTER % PROPOSAL, encoding="utf-8")
    Net("n.net", caffelite.TEST, seed=2).save("w.caffemodel")
    assert main(["export", "n.net", "w.caffemodel", "-o", "n.onnx"]) == 0
    assert "cls_prob" in capsys.readouterr().out
