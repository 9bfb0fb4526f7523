"""Fields of forks: read, kept, listed in one warning; refused where they would change numbers."""

from __future__ import annotations

import logging

import pytest

from caffelite.errors import CaffeliteError, NetError, SchemaError, Source
from caffelite.files import parse_message, parse_net
from caffelite.layers import registry
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.plan.graph import state_for
from caffelite.schema.common import Phase
from caffelite.schema.forks import FIELDS, TYPES, WORDS
from caffelite.schema.message import Message
from caffelite.schema.solver import SolverParameter
from caffelite.solver.job import plan_job

NVCAFFE = """
default_forward_type: FLOAT16
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } }
  transform_param { img_rand_resize_lower: 256 } forward_type: FLOAT }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 3 } }
"""


def test_what_changes_nothing_is_listed_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        net = parse_net(NVCAFFE)
    assert [record.getMessage().split("\n")[0] for record in caplog.records] == [
        "<text>:2:1: warning: fields that change no result here are not followed: "
        "default_forward_type, forward_type (NVCaffe); img_rand_resize_lower (NVCaffe, for phase "
        "TRAIN)"
    ]
    assert "default_forward_type: FLOAT16" in str(net)
    assert "img_rand_resize_lower: 256" in str(net.copy())
    state = state_for(net, Phase.TEST)
    assert len(plan_net(net, state, Context(Phase.TEST)).layers) == 2


def test_what_changes_training_is_refused_in_phase_train() -> None:
    net = parse_net(NVCAFFE)
    state = state_for(net, Phase.TRAIN)
    with pytest.raises(NetError, match="img_rand_resize_lower is a field of NVCaffe") as caught:
        plan_net(net, state, Context(Phase.TRAIN))
    assert len(caught.value.problems) == 1  # who reads that layer's tops is not blamed


def test_an_unknown_type_is_what_is_wrong_not_its_parameters() -> None:
    net = parse_net('layer { name: "a" type: "DenseCRF" top: "x" dense_crf_param { n: 1 } }')
    with pytest.raises(NetError, match="unknown layer type") as caught:
        plan_net(net, state_for(net, Phase.TEST), Context(Phase.TEST))
    assert "it is of PSPNet's fork" in str(caught.value)


def test_a_misspelt_field_is_still_refused() -> None:
    with pytest.raises(SchemaError, match='no field "relu_parm"'):
        parse_net('layer { name: "a" type: "ReLU" relu_parm { } }')


def test_nothing_is_both_declared_and_listed() -> None:
    assert all(registry.values())  # they bring their messages
    found = {cls.__name__: cls for cls in _all(Message)}
    both = [key for key in FIELDS if key[0] in found and key[1] in found[key[0]].specs]
    lists = {("SolverParameter", "device_id"), ("TransformationParameter", "resize_param")}
    assert set(both) == lists | WORDS.keys()  # a fork has several, or a word of its own
    assert all(key[0] in found for key in FIELDS)


def _all(cls: type[Message]) -> list[type[Message]]:
    return [x for c in cls.__subclasses__() for x in (c, *_all(c))]


def test_a_type_that_is_built_in_is_not_said_to_be_a_forks() -> None:
    assert {name for name in TYPES if registry.get(name)} == set()


def test_a_forks_own_engine_is_read_and_not_used(caplog: pytest.LogCaptureFixture) -> None:
    text = 'layer { name: "a" type: "ReLU" bottom: "x" top: "y" relu_param { engine: %s } }'
    with caplog.at_level(logging.WARNING):
        net = parse_net('input: "x" input_dim: [1, 2, 3, 4] ' + text % "MKL2017")
    assert "are not followed: engine (Intel's Caffe)" in caplog.text
    assert "engine: MKL2017" in str(net)
    assert len(plan_net(net, state_for(net, Phase.TEST), Context(Phase.TEST)).layers) == 2
    with pytest.raises(SchemaError, match="engine cannot be MKL"):
        parse_net(text % "MKL")


def test_of_a_forks_list_the_first_value_counts() -> None:
    param = parse_message(Source("s", "base_lr: 1 device_id: [2, 3]"), SolverParameter)
    assert param.device_id == 2
    assert param.foreign[0].name == "device_id"
    with pytest.raises(SchemaError, match="momentum takes one value, not a list"):
        parse_message(Source("s", "momentum: [0.9, 0.8]"), SolverParameter)


SKIM = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  param { regularization_type: "L1" } inner_product_param { num_output: 3 } }
layer { name: "loss" type: "Reduction" bottom: "ip" top: "loss" loss_weight: 1 }
"""


def test_what_changes_updates_is_refused_by_a_solver_alone() -> None:
    net = parse_net(SKIM)
    for phase in Phase:
        assert len(plan_net(net, state_for(net, phase), Context(phase)).layers) == 3
    param = SolverParameter(base_lr=1.0, lr_policy="fixed", net_param=net)
    with pytest.raises(CaffeliteError, match="regularization_type is a field of SkimCaffe"):
        plan_job(param)


def test_a_solvers_own_field_of_updates_is_refused_once_and_read_without_data() -> None:
    text = 'base_lr: 1 lr_policy: "fixed" prune_threshold: 0.1 net_param {' + SKIM + "}"
    param = parse_message(Source("s", text), SolverParameter)
    with pytest.raises(CaffeliteError) as caught:
        plan_job(param)
    said = [problem.message.split(" is ")[0] for problem in caught.value.problems]
    assert said == ["prune_threshold", "regularization_type"]
    assert plan_job(param, data=False).train.plan.count == 9


def test_of_a_forks_several_groups_the_first_is_read() -> None:
    group = "resize_param { height: 4 width: 4 }"
    text = 'layer { name: "d" type: "Data" top: "x" transform_param { %s } }'
    param = parse_net(text % (group + group.replace("4", "8"))).layer[0].transform_param
    assert (param.resize_param.height, len(param.foreign)) == (4, 1)


@pytest.mark.parametrize(("value", "refused"), [("false", False), ("0", False), ("true", True)])
def test_a_switch_of_a_fork_counts_while_it_is_on(value: str, refused: bool) -> None:
    net = parse_net(
        'layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 dim: 8 } } }\n'
        'layer { name: "b" type: "Input" top: "b" input_param { shape { dim: 1 dim: 4 } } }\n'
        'layer { name: "c" type: "Input" top: "c" input_param { shape: { dim: [1, 2, 8] } } }\n'
        'layer { name: "d" type: "DetectionOutput" bottom: "a" bottom: "b" bottom: "c" top: "d"\n'
        "detection_output_param { num_classes: 2 nms_param {\n"
        f"soft_nms: {value} theta: 0.5 }} }} }}"
    )
    state = state_for(net, Phase.TEST)
    if refused:
        with pytest.raises(NetError, match="soft_nms is a field of DeepDetect") as caught:
            plan_net(net, state, Context(Phase.TEST))
        assert str(caught.value).startswith("<text>:6:1:")
    else:
        assert len(plan_net(net, state, Context(Phase.TEST)).layers) == 4
