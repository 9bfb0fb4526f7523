"""Typed messages: what is printed reads back, presence, defaults, and what is refused."""

import pytest
from hypothesis import given, settings

from caffelite.errors import SchemaError, Source
from caffelite.files import parse_message, parse_net
from caffelite.schema.common import FillerParameter, LossNormalization, VarianceNorm
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter

from .made import declared, messages


@pytest.mark.parametrize("cls", sorted(set(declared()), key=lambda c: c.__name__))
def test_what_is_printed_reads_back(cls: type[Message]) -> None:
    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(messages(cls, 2))
    def check(message: Message) -> None:
        assert parse_message(Source("<text>", str(message)), cls) == message

    check()


def test_a_field_that_is_not_set_reads_as_its_default() -> None:
    filler = FillerParameter()
    assert (filler.type, filler.std, filler.variance_norm) == ("constant", 1.0, VarianceNorm.FAN_IN)
    assert not filler.has("std")
    assert LayerParameter().loss_param.normalization == LossNormalization.VALID
    assert LayerParameter().bottom == []


def test_a_submessage_is_set_when_something_in_it_is() -> None:
    layer = LayerParameter()
    assert not layer.has("inner_product_param")
    assert layer.get("inner_product_param").num_output == 0
    assert not layer.has("inner_product_param")
    layer.get("inner_product_param").num_output = 3
    assert layer.has("inner_product_param")


def test_an_empty_group_in_the_text_is_present() -> None:
    net = parse_net('layer { name: "a" type: "Softmax" softmax_param { } }')
    assert net.layer[0].has("softmax_param")
    assert "softmax_param {" in str(net)


def test_python_values_are_checked() -> None:
    assert FillerParameter(variance_norm="FAN_OUT").variance_norm == VarianceNorm.FAN_OUT
    with pytest.raises(ValueError, match="std: 'x' is not a number"):
        FillerParameter(std="x")
    with pytest.raises(ValueError, match="whole number from 0 to 2147483647"):
        SolverParameter(max_iter=2**31)
    with pytest.raises(TypeError, match="has no field 'stdd'"):
        FillerParameter(stdd=1)


def test_booleans_in_every_spelling() -> None:
    for text, value in {"true": 1, "True": 1, "t": 1, "1": 1, "false": 0, "f": 0, "0": 0}.items():
        net = parse_message(Source("<text>", f"force_backward: {text}"), NetParameter)
        assert net.force_backward == bool(value)


def test_enums_by_name_or_number() -> None:
    for text in ("NONE", "3"):
        net = parse_net(f'layer {{ loss_param {{ normalization: {text} }} type: "Softmax" }}')
        assert net.layer[0].loss_param.normalization == LossNormalization.NONE


def test_merging_appends_lists_and_merges_groups() -> None:
    a = LayerParameter(name="a", bottom=["x"], loss_param={"ignore_label": 1})
    a.merge(LayerParameter(name="b", bottom=["y"], loss_param={"normalization": "FULL"}))
    assert (a.name, a.bottom, a.loss_param.ignore_label) == ("b", ["x", "y"], 1)
    assert a.loss_param.normalization == LossNormalization.FULL


def test_a_copy_is_independent() -> None:
    a = LayerParameter(name="a", bottom=["x"])
    b = a.copy()
    b.bottom.append("y")
    assert a.bottom == ["x"]
    assert a != b


def test_all_mistakes_of_a_text_are_found_at_once() -> None:
    text = 'name: 3\nlayr { }\nforce_backward: maybe\nlayer { top: "a" type: ReLU }\n'
    with pytest.raises(SchemaError) as caught:
        parse_net(text)
    places = [(p.span.line, p.span.col) for p in caught.value.problems if p.span]
    assert places == [(1, 7), (2, 1), (3, 17), (4, 24)]
