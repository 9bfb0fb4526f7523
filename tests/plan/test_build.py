"""Shared parameters, loss weights and who gets a gradient; every net is its own text."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from caffelite import TEST, TRAIN, Net
from caffelite.errors import NetError, Problem, Source
from caffelite.files import parse_message, parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.plan.graph import state_for
from caffelite.schema.net import NetParameter

DATA = """
layer { name: "data" type: "Input" top: "x" top: "t"
  input_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } } }
"""
LOSS = 'layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }'


def dense(name: str, bottom: str, top: str, outputs: int, more: str = "") -> str:
    return f"""
layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" {more}
  inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}
"""


def make(text: str, **more: object) -> Net:
    return Net(parse_net(text, "f.net"), phase=TRAIN, seed=1, dtype=np.float64, **more)  # type: ignore[arg-type]


def run(net: Net) -> Net:
    """One pass forward and backward on fixed inputs."""
    rng = np.random.default_rng(0)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.normal(size=net.blobs[name].shape)
    net.clear_param_diffs()
    net.forward_backward()
    return net


def refusal(text: str) -> str:
    with pytest.raises(NetError) as caught:
        make(text)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def runs_backward(net: Net) -> list[str]:
    return [n for n, back in zip(net._layer_names, net.plan.needs) if back.backward]


class TestWhoRunsBackward:
    def test_layers_before_the_parameters_are_skipped(self) -> None:
        text = DATA + 'layer { name: "pre" type: "TanH" bottom: "x" top: "a" }'
        net = make(text + dense("ip", "a", "y", 2) + LOSS)
        assert runs_backward(net) == ["ip", "loss"]
        assert net.plan.needs[2].bottoms == (False,)  # nobody learns behind it

    def test_one_of_several_tops_may_lead_to_the_loss(self) -> None:
        text = DATA + dense("ip", "x", "h", 4)
        text += 'layer { name: "cut" type: "Slice" bottom: "h" top: "y" top: "z" }'
        net = run(make(text + LOSS))
        assert runs_backward(net) == ["ip", "cut", "loss"]
        assert net.params["ip"][1].diff.tolist()[2:] == [0, 0] and net.params["ip"][1].diff.any()

    def test_layers_that_lead_to_no_loss_are_skipped(self) -> None:
        text = DATA + dense("ip", "x", "y", 2) + dense("aside", "x", "z", 5) + LOSS
        assert runs_backward(make(text)) == ["ip", "loss"]

    def test_force_backward_gives_the_inputs_their_gradient(self) -> None:
        text = DATA + dense("ip", "x", "y", 2) + LOSS
        net = run(make("force_backward: true" + text))
        expected = net.blobs["y"].diff @ net.params["ip"][0].data
        np.testing.assert_allclose(net.blobs["x"].diff, expected)
        assert not run(make(text)).blobs["x"].diff.any()

    def test_a_frozen_parameter_has_no_gradient(self) -> None:
        frozen = "param { lr_mult: 0 } param { lr_mult: 1 }"
        net = run(make(DATA + dense("ip", "x", "y", 2, frozen) + LOSS))
        weight, bias = net.params["ip"]
        assert not weight.diff.any() and bias.diff.all()

    def test_layers_before_the_first_that_learns_are_skipped(self) -> None:
        frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
        text = DATA + dense("ip1", "x", "h", 3, frozen) + dense("ip2", "h", "y", 2) + LOSS
        assert runs_backward(make(text)) == ["ip2", "loss"]

    def test_propagate_down_false_stops_the_gradient(self) -> None:
        text = DATA + dense("ip1", "x", "h", 3)
        net = run(make(text + dense("ip2", "h", "y", 2, "propagate_down: false") + LOSS))
        assert runs_backward(net) == ["ip2", "loss"]
        assert not net.params["ip1"][0].diff.any() and net.params["ip2"][0].diff.any()

    def test_propagate_down_true_asks_for_an_inputs_gradient(self) -> None:
        net = run(make(DATA + dense("ip", "x", "y", 2, "propagate_down: true") + LOSS))
        expected = net.blobs["y"].diff @ net.params["ip"][0].data
        np.testing.assert_allclose(net.blobs["x"].diff, expected)

    def test_a_label_cannot_be_asked_for_a_gradient(self) -> None:
        text = """
        layer { name: "d" type: "Input" top: "s" top: "l"
          input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "l" top: "loss"
          propagate_down: true propagate_down: true }
        """
        assert 'has no gradient for bottom "l"' in refusal(text)


class TestLossWeights:
    def test_the_objective_is_the_weighted_sum(self) -> None:
        text = DATA + dense("ip", "x", "y", 2)
        text += LOSS.replace("top:", "loss_weight: 0.5 top:")
        text += """
        layer { name: "abs" type: "Reduction" bottom: "y" top: "abs" loss_weight: 3
          reduction_param { operation: SUMSQ } }
        """
        net = run(make(text))
        loss, squares = net.blobs["loss"].data, net.blobs["abs"].data
        assert net.forward_loss() == pytest.approx(0.5 * float(loss) + 3 * float(squares))
        assert net.blobs["loss"].diff == 0.5 and net.blobs["abs"].diff == 3
        y, t = net.blobs["y"], net.blobs["t"]
        np.testing.assert_allclose(y.diff, 0.5 * (y.data - t.data) / 4 + 3 * 2 * y.data)

    def test_a_weighted_top_of_many_values_counts_with_their_sum(self) -> None:
        net = run(make(DATA + dense("ip", "x", "y", 2, "loss_weight: 2")))
        assert net.forward_loss() == pytest.approx(2 * net.blobs["y"].data.sum())
        np.testing.assert_array_equal(net.params["ip"][1].diff, [8, 8])

    def test_a_weighted_top_may_be_read_by_others(self) -> None:
        net = run(make(DATA + dense("ip", "x", "y", 2, "loss_weight: 2") + LOSS))
        y, t = net.blobs["y"], net.blobs["t"]
        for _ in range(2):  # the weight is there in every pass
            net.forward_backward()
            np.testing.assert_allclose(y.diff, 2 + (y.data - t.data) / 4)
        total = 2 * y.data.sum() + float(net.blobs["loss"].data)
        assert net.forward_loss() == pytest.approx(total)

    def test_weight_zero_switches_a_loss_off(self) -> None:
        net = run(
            make(DATA + dense("ip", "x", "y", 2) + LOSS.replace("top:", "loss_weight: 0 top:"))
        )
        assert net.forward_loss() == 0 and runs_backward(net) == []

    def test_there_is_one_weight_for_each_top_or_none(self) -> None:
        two = dense("ip", "x", "y", 2, "loss_weight: 1 loss_weight: 2")
        assert "2 loss_weight for 1 top" in refusal(DATA + two)

    def test_a_loss_without_a_top_counts(self) -> None:
        text = DATA + dense("ip", "x", "y", 2)
        named, unnamed = run(make(text + LOSS)), run(make(text + LOSS.replace('top: "loss"', "")))
        assert named.forward_loss() == unnamed.forward_loss() > 0


def test_what_a_text_with_mistakes_says_besides_is_planned() -> None:
    wrong = DATA.replace('type: "Input"', 'type: "Input" kernel: 1').replace('"data"', '"wrong"')
    text = wrong + dense("a", "x", "h", 5)
    text += DATA.replace('"x"', '"u"').replace('"t"', '"v"') + dense("b", "u", "y", 2)
    said: list[Problem] = []
    net = parse_message(Source("f.net", text), NetParameter, said)
    assert len(said) == 1
    plan = plan_net(net, state_for(net, TRAIN), Context(TRAIN))
    uses = {n.spec.name: len(u) for n, u in zip(plan.graph.nodes, plan.uses)}
    assert uses == {"a": 0, "data": 0, "b": 2} and plan.needs == ()
    assert plan.shapes[plan.graph.blobs["y"]] == (4, 2) and plan.count == 8


def test_there_are_no_more_params_than_parameters() -> None:
    text = dense("ip", "x", "y", 2, "param { } param { } param { }")
    assert "3 param { } for 2 parameters" in refusal(DATA + text)


def test_a_layer_on_an_input_keeps_its_shape() -> None:
    fold = 'layer { name: "f" type: "Reshape" bottom: "x" top: "x" reshape_param { shape { %s } } }'
    assert make(DATA + fold % "dim: 4 dim: 3").blobs["x"].shape == (4, 3)
    message = refusal(DATA + fold % "dim: 12")
    assert 'the input "x" is 4 x 3 (12), but this top of the same name is 12 (12)' in message
    own = DATA + fold.replace('top: "x"', 'top: "y"') % "dim: 12"
    again = fold.replace('"x"', '"y"').replace('"f"', '"g"') % "dim: 6 dim: 2"
    assert make(own + again).blobs["y"].shape == (6, 2)


def test_a_blob_has_32_axes_at_most() -> None:
    shape = 'layer { name: "in" type: "Input" top: "x" input_param { shape { %s } } }'
    assert make(shape % ("dim: 1 " * 32)).blobs["x"].data.ndim == 32
    assert 'top "x" would have 33 axes' in refusal(shape % ("dim: 1 " * 33))


def test_the_work_of_a_net_is_that_of_its_layers() -> None:
    text = DATA + dense("a", "x", "h", 5) + dense("b", "h", "y", 2)
    assert make(text).plan.work() == 4 * (3 * 5 + 5 * 2)
    assert make(text.replace("dim: 4 ", "dim: 0 ")).plan.work() == 0


SHARED = 'param { name: "w" } param { name: "b" }'


class TestSharing:
    def test_sharers_have_one_array_and_sum_their_gradients(self) -> None:
        """A siamese pair: each branch alone gives its part of the gradient."""
        data = DATA.replace('top: "t"', 'top: "t" top: "x2"').replace(
            "dim: 2 } }", "dim: 2 } shape { dim: 4 dim: 3 } }"
        )
        difference = 'layer { name: "d" type: "EuclideanLoss" bottom: "y" bottom: "y2" top: "d" }'

        def pair(first: str, second: str) -> Net:
            text = data + dense("ip", "x", "y", 2, first) + dense("ip2", "x2", "y2", 2, second)
            return make(text + difference)

        shared = pair(SHARED, SHARED)
        apart = pair("", "")
        for mine, theirs in zip(shared.params["ip"], apart.params["ip2"]):
            theirs.data[...] = mine.data
        apart.params["ip"][0].data[...] = shared.params["ip"][0].data
        run(shared), run(apart)
        assert np.shares_memory(shared.params["ip"][0].data, shared.params["ip2"][0].data)
        for k in range(2):
            parts = apart.params["ip"][k].diff + apart.params["ip2"][k].diff
            np.testing.assert_allclose(shared.params["ip"][k].diff, parts)
        assert shared.arena.data.size < apart.arena.data.size

    def test_strict_sharing_needs_one_shape(self) -> None:
        text = DATA + dense("a", "x", "y", 2, 'param { name: "w" }')
        message = refusal(text + dense("b", "t", "z", 3, 'param { name: "w" }'))
        assert '"w", is 3 x 2 (6), but in layer "a" it is 2 x 3 (6)' in message
        assert "share_mode: PERMISSIVE" in message

    def test_permissive_sharing_needs_one_count(self) -> None:
        permissive = 'param { name: "w" share_mode: PERMISSIVE }'
        text = DATA + dense("a", "x", "y", 2, 'param { name: "w" }')
        net = make(text + dense("b", "t", "z", 3, permissive))
        first, second = net.params["a"][0], net.params["b"][0]
        assert (first.shape, second.shape) == ((2, 3), (3, 2))
        second.data[...] = np.arange(6).reshape(3, 2)
        np.testing.assert_array_equal(first.data.ravel(), np.arange(6))
        second.diff[...] = 1
        assert first.diff.sum() == 6
        assert "expected the same count" in refusal(text + dense("b", "t", "z", 4, permissive))

    def test_lr_mult_is_the_owners_unless_only_the_sharer_names_it(self) -> None:
        def mults(first: str, second: str) -> tuple[float, float]:
            text = DATA + dense("a", "x", "y", 2, f'param {{ name: "w" {first} }}')
            net = make(text + dense("b", "x", "z", 2, f'param {{ name: "w" {second} }}'))
            return net.arena.params[0].lr_mult, net.arena.params[0].decay_mult

        assert mults("lr_mult: 2", "") == (2, 1)
        assert mults("", "lr_mult: 3 decay_mult: 0") == (3, 0)
        assert mults("lr_mult: 2", "lr_mult: 2") == (2, 1)
        with pytest.raises(NetError, match='has lr_mult 3, but in layer "a" 2'):
            mults("lr_mult: 2", "lr_mult: 3")

    def test_freezing_by_a_sharer_freezes_both(self) -> None:
        text = DATA + dense("a", "x", "h", 3, 'param { name: "w" } param { lr_mult: 0 }')
        text += dense("b", "h", "y", 2)
        text += dense("c", "x", "z", 3, 'param { name: "w" lr_mult: 0 } param { lr_mult: 0 }')
        net = run(make(text + LOSS))
        assert not net.params["a"][0].diff.any() and net.params["b"][0].diff.any()


class TestDoubts:
    """What is allowed, but hardly meant, is said in the log."""

    def test_a_message_that_the_layer_does_not_read(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "caffelite"):
            make(DATA + dense("ip", "x", "y", 2, "pooling_param { kernel_size: 2 }"))
        (record,) = caplog.messages
        assert record.startswith(
            'f.net:5:62: warning: layer "ip" (InnerProduct) does not use pooling_param'
        )
        assert "expected inner_product_param" in record

    def test_two_layers_of_one_name(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "caffelite"):
            make(DATA + dense("ip", "x", "y", 2) + dense("ip", "y", "z", 2))
        (record,) = caplog.messages
        assert 'warning: there are two layers "ip"' in record and "the first is on line 5" in record

    def test_variants_for_two_phases_may_have_one_name(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "caffelite"):
            text = DATA + dense("ip", "x", "y", 2, "include { phase: TRAIN }")
            net = parse_net(text + dense("ip", "x", "y", 3, "include { phase: TEST }"))
        assert not caplog.messages
        assert Net(net, TEST).blobs["y"].shape == (4, 3)


def test_force_backward_gives_the_gradients_of_frozen_parameters_too() -> None:
    text = (
        'force_backward: true layer { name: "x" type: "Input" top: "x" input_param { shape '
        '{ dim: 2 dim: 3 } } } layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        "param { lr_mult: 0 } param { lr_mult: 0 } inner_product_param { num_output: 2 } }"
    )
    net = Net(parse_net(text), TRAIN, seed=1)
    net.forward(x=np.ones((2, 3)))
    net.backward(y=np.ones((2, 2)))
    assert net.params["ip"][0].diff.tolist() == [[2, 2, 2]] * 2
    assert net.params["ip"][1].diff.tolist() == [2, 2]


@pytest.mark.parametrize("dim", [1 << 16, 1 << 40])
def test_a_blob_too_large_to_count_is_refused_before_memory_is_asked_for(dim: int) -> None:
    shape = f"shape {{ dim: {dim} dim: {dim} }}"
    text = f'layer {{ name: "in" type: "Input" top: "x" input_param {{ {shape} }} }}'
    assert f"{dim} x {dim} ({dim * dim})" in refusal(text)
    assert "parameter 0 would be 4294967295 x 3" in refusal(DATA + dense("ip", "x", "y", 2**32 - 1))


@pytest.mark.parametrize("rate", ["0", "1", "2"])
def test_a_rate_for_what_is_not_learned_is_refused_unless_it_is_0(rate: str) -> None:
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
        'layer { name: "bn" type: "BN" bottom: "x" top: "y" param { lr_mult: 1 } '
        f"param {{ lr_mult: 1 }} param {{ lr_mult: {rate} }} param {{ lr_mult: 0 }} }}\n"
    )
    if rate == "0":
        plan = Net(parse_net(text), TRAIN).plan
        assert [(p.lr_mult, p.decay_mult) for p in plan.params] == [(1, 1)] * 2 + [(0, 0)] * 2
        assert plan.count == 2 * 3
        return
    with pytest.raises(NetError, match=f"not learned, but has lr_mult {rate}"):
        Net(parse_net(text), TRAIN)
