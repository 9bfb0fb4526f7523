"""The deploy form of nets that train."""

from __future__ import annotations

import pytest

import caffelite
from caffelite import Net
from caffelite.deploy import Deployed, deploy_net
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.plan.graph import state_for
from caffelite.schema.common import Phase

TRAIN = """
  name: "two"
  layer { name: "data" type: "MemoryData" top: "data" top: "label" include { phase: TEST }
    memory_data_param { batch_size: 4 channels: 3 height: 5 width: 5 }
    transform_param { scale: 0.5 mean_value: 100 } }
  layer { name: "data" type: "DummyData" top: "data" top: "label" include { phase: TRAIN }
    dummy_data_param { shape { dim: 9 dim: 3 dim: 5 dim: 5 } shape { dim: 9 } } }
  layer { name: "shift" type: "Power" bottom: "label" top: "shifted" power_param { shift: 0 } }
  layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" param { lr_mult: 2 }
    inner_product_param { num_output: 2 } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "shifted" top: "loss" }
  layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "shifted" top: "accuracy" }
"""


def deployed(text: str, **shapes: tuple[int, ...]) -> Deployed:
    net = parse_net(text)
    return deploy_net(net, state_for(net, Phase.TEST, 0, []), shapes)


def test_sources_become_inputs_and_losses_what_they_compare() -> None:
    result = deployed(TRAIN)
    assert [(x.name, x.type) for x in result.net.layer] == [
        ("data", "Input"),
        ("fc", "InnerProduct"),
        ("loss", "Softmax"),
    ]
    net = Net(result.net, caffelite.TEST)
    assert net.blobs["data"].shape == (4, 3, 5, 5) and net.outputs == ["prob"]
    assert result.transforms["data"].scale == 0.5
    assert any('"accuracy" (Accuracy) is left out' in note for note in result.notes)


def test_what_is_measured_alone_is_the_output() -> None:
    text = TRAIN.replace('layer { name: "loss"', 'layer { include { phase: TRAIN } name: "loss"')
    assert Net(deployed(text).net, caffelite.TEST).outputs == ["fc"]


def test_a_given_shape_replaces_the_datas() -> None:
    net = Net(deployed(TRAIN, data=(1, 3, 7, 7)).net, caffelite.TEST)
    assert net.blobs["data"].shape == (1, 3, 7, 7)


def test_a_deploy_net_stays_as_it_is() -> None:
    once = deployed(TRAIN).net
    again = deploy_net(once, state_for(once, Phase.TEST, 0, []))
    assert str(again.net) == str(once) and not again.notes


@pytest.mark.parametrize(
    ("loss", "outputs", "types"),
    [
        ('type: "SigmoidCrossEntropyLoss" bottom: "fc" bottom: "t"', ["prob"], ["Sigmoid"]),
        ('type: "EuclideanLoss" bottom: "fc" bottom: "t"', ["fc"], []),
        ('type: "HingeLoss" bottom: "fc" bottom: "label"', ["fc"], []),
    ],
)
def test_other_losses(loss: str, outputs: list[str], types: list[str]) -> None:
    head = """
      layer { name: "in" type: "DummyData" top: "x" top: "t" top: "label" dummy_data_param {
        shape { dim: 2 dim: 3 } shape { dim: 2 dim: 4 } shape { dim: 2 } } }
      layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc"
        inner_product_param { num_output: 4 } }
    """
    result = deployed(f'{head} layer {{ name: "l" {loss} top: "l" }}')
    assert [x.type for x in result.net.layer] == ["Input", "InnerProduct", *types]
    net = Net(result.net, caffelite.TEST)
    assert net.outputs == outputs and net.inputs == ["x"]


def test_two_losses_have_two_names() -> None:
    text = (
        TRAIN
        + """
      layer { name: "aux" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "aux" }
    """
    )
    assert Net(deployed(text).net, caffelite.TEST).outputs == ["prob", "aux_prob"]


def test_missing_data_ask_for_a_shape() -> None:
    text = """
      layer { name: "data" type: "HDF5Data" top: "data" top: "label"
        hdf5_data_param { source: "nowhere.txt" batch_size: 2 } }
      layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
        inner_product_param { num_output: 2 } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
    """
    with pytest.raises(NetError, match="--shape data="):
        deployed(text)
    assert Net(deployed(text, data=(2, 3)).net, caffelite.TEST).blobs["prob"].shape == (2, 2)


def test_constants_stay_and_a_shape_for_nothing_is_refused() -> None:
    text = """
      layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }
      layer { name: "one" type: "DummyData" top: "one"
        dummy_data_param { shape { dim: 2 } data_filler { value: 1 } } }
      layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "one" top: "y" }
    """
    assert [x.type for x in deployed(text).net.layer] == ["Input", "DummyData", "Eltwise"]
    with pytest.raises(NetError, match='"z" is no input'):
        deployed(text, z=(1,))


def test_a_net_of_losses_over_data_predicts_nothing() -> None:
    text = """
      layer { name: "in" type: "DummyData" top: "x" top: "t" dummy_data_param {
        shape { dim: 2 } shape { dim: 2 } } }
      layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "t" top: "l" }
    """
    with pytest.raises(NetError, match="predicts nothing"):
        deployed(text)
