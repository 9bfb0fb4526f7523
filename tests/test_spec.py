"""Nets written in Python, and the other names that pycaffe's scripts use."""

import numpy as np
import pytest

import caffelite as caffe
from caffelite import layers as L
from caffelite import params as P
from caffelite.errors import NetError
from caffelite.files import parse_net


def lenet_like() -> caffe.NetSpec:
    n = caffe.NetSpec()
    n.data = L.Input(shape=[dict(dim=[2, 1, 8, 8])])
    n.label = L.Input(shape=[dict(dim=[2])])
    n.conv1 = L.Convolution(
        n.data,
        kernel_size=3,
        num_output=4,
        weight_filler=dict(type="xavier"),
        param=[dict(lr_mult=2)],
    )
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.AVE)
    n.relu1 = L.ReLU(n.pool1, in_place=True)
    thinned = L.Dropout(n.relu1, dropout_ratio=0.2)
    n.score = L.InnerProduct(thinned, num_output=3, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(
        n.score, n.label, loss_weight=0.5, loss_param=dict(normalization=P.Loss.FULL)
    )
    return n


def test_the_net_reads_as_its_text() -> None:
    net = lenet_like().to_proto("tiny")
    assert parse_net(str(net)) == net
    assert [layer.name for layer in net.layer] == [
        "data", "label", "conv1", "pool1", "relu1", "Dropout1", "score", "loss",
    ]  # fmt: skip
    relu = net.layer[4]
    assert (relu.bottom, relu.top) == (["pool1"], ["pool1"])
    assert net.layer[5].bottom == ["pool1"]
    assert "pool: AVE" in str(net) and "normalization: FULL" in str(net)


def test_the_net_runs() -> None:
    caffe.set_mode_cpu()
    net = caffe.Net(lenet_like().to_proto(), caffe.TRAIN, seed=1)
    net.blobs["data"].data[...] = np.random.default_rng(0).random((2, 1, 8, 8))
    loss = float(net.forward()["loss"])
    assert loss == pytest.approx(np.log(3), abs=0.5)
    net.backward()
    assert np.abs(net.params["conv1"][0].diff).max() > 0


def test_several_tops_and_none() -> None:
    n = caffe.NetSpec()
    n.data, n.label = L.SpiralData(ntop=2, batch_size=5)
    n.quiet = L.Silence(n.data, n.label, ntop=0)
    net = n.to_proto()
    assert [layer.type for layer in net.layer] == ["SpiralData", "Silence"]
    assert net.layer[0].top == ["data", "label"]
    assert net.layer[1].name == "quiet" and not net.layer[1].top


def test_unknown_types_fields_and_values_are_refused() -> None:
    with pytest.raises(AttributeError, match="no layer type 'Convolutio'"):
        L.Convolutio  # noqa: B018
    with pytest.raises(AttributeError, match="no enums of 'Poolin'"):
        P.Poolin  # noqa: B018
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 2]))
    n.ip = L.InnerProduct(n.data, num_outputs=3)
    with pytest.raises(NetError, match=r'no field "num_outputs"(.|\n)*did you mean "num_output"'):
        n.to_proto()


def test_a_seed_for_all_nets_without_one() -> None:
    net = lenet_like().to_proto()
    try:
        caffe.set_random_seed(5)
        a, b = caffe.Net(net, caffe.TRAIN), caffe.Net(net, caffe.TRAIN)
    finally:
        caffe.set_random_seed(-1)
    assert np.array_equal(a.arena.data, b.arena.data)
    assert not np.array_equal(a.arena.data, caffe.Net(net, caffe.TRAIN).arena.data)
