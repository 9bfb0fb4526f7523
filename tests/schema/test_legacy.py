"""Old formats: what Caffe's own upgrade makes of them is what ours makes of them."""

from pathlib import Path

import pytest

from caffelite.errors import SchemaError, Source
from caffelite.files import parse_message
from caffelite.schema.binary import decode, encode
from caffelite.schema.legacy import upgrade_net, upgrade_solver
from caffelite.schema.legacy_messages import V0LayerParameter, V1LayerParameter, V1LayerType
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter

LEGACY = Path(__file__).parents[1] / "reference" / "legacy"
CASES = sorted(p.name.removesuffix(".in.prototxt") for p in LEGACY.glob("*.in.prototxt"))


def net_of(text: str, name: str = "old.prototxt") -> NetParameter:
    return parse_message(Source(name, text), NetParameter)


def refusal(text: str) -> str:
    with pytest.raises(SchemaError) as caught:
        upgrade_net(net_of(text))
    return str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_upgrades_as_caffe_does(name: str) -> None:
    before = net_of((LEGACY / f"{name}.in.prototxt").read_text())
    expected = net_of((LEGACY / f"{name}.expected.prototxt").read_text())
    found, done = upgrade_net(before)
    assert str(found) == str(expected)
    assert found == expected
    assert done


@pytest.mark.parametrize("name", CASES)
def test_the_original_stays_and_what_is_new_is_left_alone(name: str) -> None:
    text = (LEGACY / f"{name}.in.prototxt").read_text()
    before = net_of(text)
    new, _ = upgrade_net(before)
    assert before == net_of(text)
    assert upgrade_net(new) == (new, [])


@pytest.mark.parametrize("name", CASES)
def test_old_nets_upgrade_from_binary_too(name: str) -> None:
    before = net_of((LEGACY / f"{name}.in.prototxt").read_text())
    again = decode(encode(before), NetParameter)
    assert upgrade_net(again)[0] == upgrade_net(before)[0]


def test_says_what_was_done() -> None:
    def done(text: str) -> str:
        return "; ".join(upgrade_net(net_of(text))[1])

    assert "V1" in done('layers { name: "r" type: RELU }')
    assert "V0" in done('layers { layer { name: "r" type: "relu" } }')
    assert "Input layer" in done('input: "x" input_shape { dim: 1 }')
    assert "no shape" in done('input: "x"')
    assert "transform_param (d)" in done('layers { name: "d" type: DATA data_param { scale: 2 } }')
    assert "group of layer" in done('layers { layer { name: "r" type: "relu" group: 2 } }')
    assert done('layer { name: "r" type: "ReLU" }') == ""


@pytest.mark.parametrize("kind", list(V1LayerType))
def test_every_v1_type_has_todays_name(kind: V1LayerType) -> None:
    net, _ = upgrade_net(NetParameter(layers=[V1LayerParameter(name="x", type=kind)]))
    new = net.layer[0].type
    if kind is V1LayerType.NONE:
        assert new == ""
    elif kind is V1LayerType.SOFTMAX_LOSS:
        assert new == "SoftmaxWithLoss"
    else:
        assert new.upper() == kind.name.replace("_", "")


def test_places_go_along() -> None:
    text = (
        'layers {\n  name: "ip" type: INNER_PRODUCT\n  bottom: "x"\n  top: "y"\n'
        "  blobs_lr: 1\n  blobs_lr: 2\n  inner_product_param {\n    num_output: 3\n  }\n}\n"
    )
    net, _ = upgrade_net(net_of(text))
    layer = net.layer[0]
    assert layer.span("bottom").line == 3
    assert layer.param[1].span("lr_mult").line == 6
    assert layer.inner_product_param.span("num_output").line == 8
    old = (
        'layers {\n  bottom: "x"\n  layer {\n    type: "innerproduct"\n    num_output: 3\n  }\n}\n'
    )
    layer = upgrade_net(net_of(old))[0].layer[0]
    assert layer.inner_product_param.span("num_output").line == 5
    assert layer.span("bottom").line == 2


def test_mixed_formats_are_refused_with_both_places() -> None:
    text = (
        'layer { name: "a" type: "ReLU" }\n'
        'layer { name: "b" type: "ReLU" }\n'
        'layers { name: "c" type: RELU }\n'
    )
    said = refusal(text)
    assert said.startswith("old.prototxt:3:1:")
    assert "line 1" in said
    assert "caffelite upgrade" in said
    mixed = 'layers { name: "a" type: RELU }\nlayers { layer { name: "b" type: "relu" } }\n'
    assert "V0" in refusal(mixed)


def test_padding_that_cannot_be_folded_is_refused() -> None:
    text = (
        'layers { layer { name: "p" type: "padding" pad: 1 } bottom: "x" top: "p" }\n'
        'layers { layer { name: "r" type: "relu" } bottom: "p" top: "r" }\n'
    )
    said = refusal(text)
    assert said.startswith("old.prototxt:2:")
    assert '"relu"' in said


def test_unknown_v0_type_is_refused() -> None:
    assert 'did you mean "conv"?' in refusal('layers { layer { name: "c" type: "Conv" } }')


@pytest.mark.parametrize("dims", ["input_dim: 1 input_dim: 2", "input_shape {} input_shape {}"])
def test_shapes_must_match_the_inputs(dims: str) -> None:
    assert "expected" in refusal(f'input: "x" {dims}')


def test_two_inputs_become_one_layer() -> None:
    text = 'input: "x" input: "y" ' + " ".join(f"input_dim: {n}" for n in range(1, 9))
    (layer,) = upgrade_net(net_of(text))[0].layer
    assert layer.top == ["x", "y"]
    assert [s.dim for s in layer.input_param.shape] == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_solver_type() -> None:
    def upgraded(text: str) -> SolverParameter:
        return upgrade_solver(parse_message(Source("s.solver", text), SolverParameter))[0]

    assert str(upgraded("solver_type: ADAGRAD")) == 'type: "AdaGrad"\n'
    assert upgraded("solver_type: SGD").type == "SGD"
    inner = upgraded('net_param { layers { name: "r" type: RELU } }').net_param
    assert inner.layer == [LayerParameter(name="r", type="ReLU")]
    with pytest.raises(SchemaError, match="both given"):
        upgraded('solver_type: ADAM type: "Adam"')


def test_numbers_are_caffes() -> None:
    assert V1LayerParameter.specs["blob_share_mode"].number == 1002
    assert V1LayerParameter.specs["inner_product_param"].number == 17
    assert V0LayerParameter.specs["det_context_pad"].number == 58
    assert NetParameter.specs["layers"].number == 2
