"""NetSpec as pycaffe has it: names, tops, any type of layer, protobuf's messages."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

import caffelite
from caffelite.errors import NetError
from caffelite.layers import registry
from caffelite.pycaffe.net_spec import NetSpec, Top, layers, params, to_proto
from caffelite.pycaffe.proto import caffe_pb2

L, P = layers, params


def shapes(*sizes: list[int]) -> list[dict[str, Any]]:
    return [{"dim": size} for size in sizes]


def small() -> NetSpec:
    n = NetSpec()
    n.data, n.label = L.DummyData(shape=shapes([2, 3, 8, 8], [2]), ntop=2)
    n.conv = L.Convolution(
        n.data, kernel_size=3, num_output=4, weight_filler={"type": "xavier"}, param={"lr_mult": 2}
    )
    n.relu = L.ReLU(n.conv, in_place=True)
    n.pool = L.Pooling(n.relu, kernel_size=2, pool=P.Pooling.AVE)
    n.ip = L.InnerProduct(n.pool, num_output=3, weight_filler={"type": "xavier"})
    n.loss = L.SoftmaxWithLoss(n.ip, n.label, loss_weight=0.5)
    return n


def test_a_net_as_text() -> None:
    net = small().to_proto()
    assert isinstance(net, caffe_pb2.NetParameter)
    expected = """
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 2 }
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE kernel_size: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
  loss_weight: 0.5 }
"""
    assert net == text_format.Parse(expected, caffe_pb2.NetParameter())
    made = caffelite.Net(net, caffelite.TRAIN, seed=1)
    assert np.isfinite(made.forward()["loss"])


def test_automatic_names_are_caffes() -> None:
    data, label = L.DummyData(shape=shapes([1, 2], [1]), ntop=2)
    hidden = L.ReLU(L.InnerProduct(data, num_output=4), in_place=True)
    score = L.InnerProduct(hidden, num_output=3)
    loss = L.SoftmaxWithLoss(score, label)
    found = [(x.name, list(x.bottom), list(x.top)) for x in loss.to_proto().layer]
    assert found == [
        ("DummyData1", [], ["DummyData1", "DummyData2"]),
        ("InnerProduct1", ["DummyData1"], ["InnerProduct1"]),
        ("ReLU1", ["InnerProduct1"], ["InnerProduct1"]),
        ("InnerProduct2", ["InnerProduct1"], ["InnerProduct2"]),
        ("SoftmaxWithLoss1", ["InnerProduct2", "DummyData2"], ["SoftmaxWithLoss1"]),
    ]
    assert loss.to_proto() == to_proto(loss)
    both = to_proto(score, L.Softmax(score))
    assert [x.name for x in both.layer][-2:] == ["InnerProduct2", "Softmax1"]


def test_an_automatic_name_is_not_one_that_is_given() -> None:
    n = NetSpec()
    n.x = L.Input(shape=shapes([1, 2]))
    n.ReLU1 = L.Sigmoid(L.ReLU(n.x))
    assert [x.name for x in n.to_proto().layer] == ["x", "ReLU2", "ReLU1"]


def test_tops_know_their_layer() -> None:
    n = small()
    assert n.label.n == 1 and n.label.fn is n.data.fn and n.data.fn.tops == (n.data, n.label)
    assert n.ip.fn.type_name == "InnerProduct" and n.ip.fn.inputs == (n.pool,)
    assert n.ip.fn.params["num_output"] == 3 and isinstance(n.tops["ip"], Top)
    n.quiet = L.Silence(n.label, ntop=0)
    assert n.quiet.ntop == 0
    assert n.to_proto().layer[-1].name == "quiet" and not n.to_proto().layer[-1].top


def test_a_layer_without_tops_and_name_is_numbered() -> None:
    x = L.Input(shape=shapes([1]))
    net = L.Silence(x, ntop=0)
    assert net.write(caffelite.layers.spec.entries([net])).layer[-1].name == "Silence1"


def test_ssds_dictionary() -> None:
    n = small()
    assert n.keys()[-1] == "loss" and n.vals()[-1] is n["loss"] and "ip" in n and "x" not in n
    n.update("ip", {"num_output": 7, "propagate_down": [False]})
    del n["loss"]
    n["again"] = L.Softmax(n["ip"])
    net = n.to_proto()
    assert net.layer[-2].inner_product_param.num_output == 7 and not net.layer[-2].propagate_down[0]
    assert [x.name for x in net.layer][-1] == "again"
    del n.again
    assert "again" not in n and len(n.tops) == 6


def test_a_copy_is_a_net_of_its_own() -> None:
    n = small()
    other = copy.copy(n)
    assert other.to_proto() == n.to_proto()


def test_any_type_of_layer_may_be_written() -> None:
    n = NetSpec()
    n.data = L.AnnotatedData(
        annotated_data_param={"batch_sampler": [{"max_sample": 1}], "label_map_file": "m"},
        transform_param={"resize_param": {"height": 300, "interp_mode": [P.Resize.LINEAR]}},
        include={"phase": caffe_pb2.Phase.Value("TRAIN")},
        data_param={"backend": P.Data.LMDB, "source": "db"},
    )
    n.mine = L.MyOwnLayer(n.data, python_param={"module": "m", "layer": "MyOwnLayer"})
    n.norm = L.Normalize(n.mine, scale_filler={"type": "constant", "value": 20}, eps=1e-5)
    n.up = L.Deconvolution(n.norm, convolution_param={"num_output": 1})
    n.loss = L.MultiBoxLoss(n.up, num_classes=21, mining_type=P.MultiBoxLoss.MAX_NEGATIVE)
    net = n.to_proto()
    assert net.layer[0].transform_param.resize_param.interp_mode == [1]
    assert net.layer[0].include[0].phase == 0 and net.layer[0].include[0].HasField("phase")
    assert net.layer[1].type == "MyOwnLayer" and net.layer[1].python_param.module == "m"
    assert net.layer[2].norm_param.scale_filler.value == 20
    assert net.layer[3].convolution_param.num_output == 1
    assert net.layer[4].multibox_loss_param.num_classes == 21


def test_values_of_all_kinds() -> None:
    n = NetSpec()
    shape = caffe_pb2.BlobShape(dim=[1, 2])
    n.x = L.Input(shape=shape)
    n.y = L.Reshape(n.x, shape={"dim": np.array([2, 1])})
    n.z = L.Convolution(n.y, kernel_size=(3, 1), name="named")
    n.p = L.Pooling(n.z, pool="AVE", include=[{"stage": "a"}, {"stage": ["b", "c"]}])
    n.d = L.Dropout(n.p, dropout_param={}, loss_param=caffe_pb2.LossParameter(ignore_label=3))
    net = n.to_proto()
    assert list(net.layer[0].input_param.shape[0].dim) == [1, 2]
    assert list(net.layer[1].reshape_param.shape.dim) == [2, 1]
    assert net.layer[2].name == "named" and list(net.layer[2].convolution_param.kernel_size) == [
        3,
        1,
    ]
    assert net.layer[3].pooling_param.pool == P.Pooling.AVE
    assert [list(rule.stage) for rule in net.layer[3].include] == [["a"], ["b", "c"]]
    assert net.layer[4].HasField("dropout_param") and net.layer[4].loss_param.ignore_label == 3


def test_what_is_no_top_is_refused() -> None:
    data = L.DummyData(ntop=2)
    with pytest.raises(
        TypeError, match=r"^Silence input 0 is not a Top \(type is <class 'tuple'>\)$"
    ):
        L.Silence(data, ntop=0)
    L.Silence(*data, ntop=0)
    n = NetSpec()
    n.data = data
    with pytest.raises(TypeError, match=r"data is not a Top \(type is <class 'tuple'>\)"):
        n.to_proto()
    n.data, n.label = data
    assert list(n.to_proto().layer[0].top) == ["data", "label"]
    with pytest.raises(TypeError, match="in_place needs an input"):
        L.ReLU(in_place=True)
    with pytest.raises(AttributeError, match=r"the net has no 'dat'; did you mean .data"):
        small().dat  # noqa: B018


def test_mistakes_are_said_with_their_layer() -> None:
    def refused(**fields: Any) -> str:
        n = NetSpec()
        n.x = L.Input()
        n.ip = L.InnerProduct(n.x, **fields)
        with pytest.raises(NetError) as caught:
            n.to_proto()
        return str(caught.value)

    text = refused(num_outputs=3)
    assert 'layer "ip": InnerProduct has no field "num_outputs"' in text
    assert 'did you mean "num_output"' in text
    assert "layer \"ip\" (InnerProduct): num_output: '3' is no such value" in refused(
        num_output="3"
    )
    assert "a // b" in refused(num_output=64 / 4) and "a // b" not in refused(num_output=0.5)
    assert "one of FAN_IN, FAN_OUT, AVERAGE is expected" in refused(
        weight_filler={"variance_norm": "FAN"}
    )
    assert 'FillerParameter has no field "typ"' in refused(weight_filler={"typ": "x"})
    with pytest.raises(AttributeError, match=r"there is no PoolinParameter; did you mean .Pooling"):
        P.Poolin  # noqa: B018


def test_l_and_p_show_what_there_is() -> None:
    assert dir(L) == sorted(registry) == dir(caffelite.layers)
    assert {"Pooling", "Data", "Loss", "MultiBoxLoss", "Resize"} <= set(dir(P))
    assert not [name for name in dir(P) if not hasattr(P, name)]


def deep(blocks: int) -> NetSpec:
    """Blocks as in a residual net: each reads the one before twice."""
    n = NetSpec()
    n.data = x = L.Input(shape=shapes([1, 3, 8, 8]))
    for i in range(blocks):
        y = L.Convolution(x, num_output=3, kernel_size=3, pad=1)
        n[f"r{i}"] = x = L.ReLU(L.Eltwise(y, x), in_place=True)
    return n


def test_time_is_linear_in_depth() -> None:
    """A walk along all ways would take 2^3000 steps, one that calls itself 3000 frames."""
    start = time.process_time()
    net = deep(3000).to_proto()
    assert len(net.layer) == 9001
    assert time.process_time() - start < 5
