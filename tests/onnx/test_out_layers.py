"""Every type of layer in ONNX: each of its cases gives the net's values in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite import Net
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.layers.base import registry as layers
from caffelite.layers.cases import Case

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from caffelite.onnx.export import OPSETS, build, deployed  # noqa: E402
from caffelite.onnx.out.place import registry  # noqa: E402
from caffelite.onnx.verify import check, verify  # noqa: E402

NOT_DEPLOYED = {name for name, cls in layers.items() if not deployed(cls)}
# of OpenPose's maps: scales of one image as a batch, and peaks; boxes thinned out in their order
NOT_SAID = {name for name, cls in layers.items() if cls.hosts} | {
    *("InnerDistance", "PredictBox", "RefinedDetectionOutput"),
    *("ClusterDetections", "ImResize", "Nms", "RegionOutput"),
    *(
        "CombineRegressions",
        "MultiStageMeanfield",
        "ROIWarping",
        "RotateROIPooling",
        "RotatedProposals",
        "StageBridge",
        "TextProposals",
    ),
}
ODD = {
    ("BN", 0): "the variance and eps are 0",
    ("BN", 6): "a batch of one sample divides by 0 there",
    ("CTCGreedyDecoder", 0): "it measures",
    ("CTCGreedyDecoder", 2): "it measures",
    ("DecodeBBox", 1): "three bottoms are for phase TRAIN",
    ("BatchNorm", 0): "a batch of one sample divides by 0 there",
    ("DummyData", 2): "random values are no constants",
    ("ForkDropout", 1): "it drops at random",
    ("ScaledBatchNorm", 0): "the variance and eps are 0",
    ("Silence", 0): "a net without outputs",
    ("YoloDetectionOutput", 2): "image by image",
    ("YoloDetectionOutput", 3): "image by image",
}
CASES = [
    pytest.param(name, case, id=f"{name}-{i}")
    for name, cls in sorted(layers.items())
    for i, case in enumerate(cls.cases)
    if (name not in NOT_DEPLOYED | NOT_SAID or name == "DummyData") and (name, i) not in ODD
]


def test_pads_around_one_tap_are_made_first() -> None:
    """OpenCV 5.0 leaves them out of the convolution."""
    text = """
      layer { name: "in" type: "Input" top: "x"
        input_param { shape { dim: 1 dim: 2 dim: 4 dim: 5 } } }
      layer { name: "one" type: "Convolution" bottom: "x" top: "y"
        convolution_param { num_output: 3 kernel_size: 1 pad_h: 1 pad_w: 2
          weight_filler { type: "xavier" } } }"""
    net = Net(parse_net(text), caffelite.TEST, seed=0)
    exported = build(net)
    check(verify(exported, net), "the net")
    assert [n.op_type for n in exported.model.graph.node] == ["Pad", "Conv"]
    assert "pads" not in {a.name for a in exported.model.graph.node[1].attribute}


def test_lines_of_one_value_are_made_larger_by_products() -> None:
    """OpenCV 5.0's Resize reads beyond them."""
    text = """
      layer { name: "in" type: "Input" top: "x"
        input_param { shape { dim: 2 dim: 3 dim: 1 dim: 5 } } }
      layer { name: "larger" type: "Interp" bottom: "x" top: "y"
        interp_param { height: 4 width: 9 } }"""
    net = Net(parse_net(text), caffelite.TEST, seed=0)
    exported = build(net)
    check(verify(exported, net), "the net")
    assert [n.op_type for n in exported.model.graph.node] == ["MatMul", "MatMul"]


def test_every_layer_that_is_deployed_can_be_said() -> None:
    builtin = {n for n, cls in layers.items() if cls.__module__.startswith("caffelite.layers.")}
    assert builtin - NOT_DEPLOYED - NOT_SAID - registry.keys() == set()
    assert not NOT_SAID & registry.keys()


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_layer_gives_the_nets_values(name: str, case: Case) -> None:
    net = Net(parse_net(case.net_text()), caffelite.TEST, seed=1)
    rng = np.random.default_rng(3)
    for i, blob in enumerate(net.layers[-1].params):
        low = 0.5 if name in ("BN", "BatchNorm", "ScaledBatchNorm") else -1
        given = case.params[i] if i < len(case.params) else rng.uniform(low, 1, blob.shape)
        blob.data[...] = given
    old = len(case.text) % 2  # of two the half each: all operators have both forms somewhere
    exported = build(net, opset=(OPSETS[0], OPSETS[-1])[old], fixed=bool(old))
    onnx.checker.check_model(exported.model, full_check=True)
    given = {k: np.float32(v) for k, v in case.arrays(rng).items()}
    reports = verify(exported, net, given=given)
    check(reports, "the model")
    assert all(len(r.rows) for r in reports)


def test_layers_that_cannot_be_said_are_named_together() -> None:
    text = """
      layer { name: "x" type: "Input" top: "x" top: "s" top: "h"
        input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } shape { dim: 3 dim: 3 } } }
      layer { name: "i" type: "InfogainLoss" bottom: "x" bottom: "s" bottom: "h" top: "v" }
      layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "x" top: "w" }
      layer { name: "d" type: "DummyData" top: "n"
        dummy_data_param { shape { dim: 2 } data_filler { type: "uniform" } } }
    """
    with pytest.raises(CaffeliteError) as caught:
        build(Net(parse_net(text), caffelite.TEST))
    message = str(caught.value)
    assert '"i" (InfogainLoss)' in message
    assert '"l" (EuclideanLoss)' in message


def test_names_are_kept_and_the_batch_is_free() -> None:
    text = """
      name: "small"
      layer { name: "in" type: "Input" top: "data"
        input_param { shape { dim: 4 dim: 3 dim: 6 dim: 6 } } }
      layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 2 kernel_size: 3 } }
      layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
      layer { name: "fc" type: "InnerProduct" bottom: "conv1" top: "fc"
        inner_product_param { num_output: 5 } }
    """
    net = Net(parse_net(text), caffelite.TEST, seed=0)
    model = build(net).model
    (x,), (y,) = model.graph.input, model.graph.output
    dims = [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
    assert (x.name, dims) == ("data", ["N", 3, 6, 6])
    assert [d.dim_param or d.dim_value for d in y.type.tensor_type.shape.dim] == ["N", 5]
    names = {node.name: list(node.output) for node in model.graph.node}
    assert names["relu1"] == ["conv1"] and names["conv1"] == ["conv1/conv1"]
    fixed = build(net, fixed=True, opset=15, ir=9).model
    assert [d.dim_value for d in fixed.graph.input[0].type.tensor_type.shape.dim] == [4, 3, 6, 6]
    assert (fixed.opset_import[0].version, fixed.ir_version) == (15, 9)


def test_shared_parameters_are_one_initializer() -> None:
    text = """
      layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }
      layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
        param { name: "b" } inner_product_param { num_output: 4 } }
      layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
        param { name: "b" } inner_product_param { num_output: 4 } }
    """
    net = Net(parse_net(text), caffelite.TEST, seed=0)
    assert len(build(net).model.graph.initializer) == 2


def test_an_opset_out_of_range_is_refused() -> None:
    text = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
    with pytest.raises(CaffeliteError, match="expected 13 to 21"):
        build(Net(parse_net(text), caffelite.TEST), opset=9)
