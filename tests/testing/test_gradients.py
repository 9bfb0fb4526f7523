"""The gradient check finds what is wrong, in one array and in a whole net."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite import CaffeliteError, Net
from caffelite.blob import Array, Shape
from caffelite.errors import Source
from caffelite.gradcheck import check, compare
from caffelite.schema.bind import bind
from caffelite.schema.net import NetParameter
from caffelite.text import parse


def check_relu(x: list[float], gradient: list[float]) -> tuple[bool, int]:
    values = np.array(x)
    result = compare(
        "x",
        lambda: float(np.maximum(values, 0).sum()),
        values,
        np.array(gradient),
        np.random.default_rng(0),
    )
    assert values.tolist() == x  # put back
    return result.ok, result.kinks


def test_away_from_a_kink_none_is_seen() -> None:
    assert check_relu([-1.0, 2.0], [0.0, 1.0]) == (True, 0)
    assert check_relu([-1.0, 2.0], [0.0, 1.001]) == (False, 0)


def test_near_a_kink_a_smaller_step_is_taken() -> None:
    assert check_relu([3e-6, 2.0], [1.0, 1.0]) == (True, 0)
    assert check_relu([3e-6, 2.0], [0.0, 1.0])[0] is False


def test_at_a_kink_any_gradient_between_the_slopes_is_right() -> None:
    ok, kinks = check_relu([0.0, 2.0], [0.0, 1.0])
    assert ok and kinks
    assert check_relu([0.0, 2.0], [0.3, 1.0])[0] is True
    assert check_relu([0.0, 2.0], [1.2, 1.0])[0] is False
    assert check_relu([0.0, 2.0], [0.0, 1.001])[0] is False


@pytest.mark.parametrize("size", [(5,), (30, 20)])
def test_a_gradient_agrees_to_1e_7_and_an_error_of_a_thousandth_shows(size: Shape) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, size)
    rng = np.random.default_rng(2)

    def f() -> float:
        return float(np.tanh(x).sum())

    right = 1 - np.tanh(x) ** 2
    result = compare("x", f, x, right, rng, magnitude=float(np.abs(np.tanh(x)).sum()))
    assert result.ok and result.worst.error < 1e-7
    result = compare("x", f, x, 1.001 * right, rng, magnitude=float(np.abs(np.tanh(x)).sum()))
    assert not result.ok and "WRONG" in str(result)


def test_an_error_of_a_thousandth_shows_beside_large_values() -> None:
    x, large = np.random.default_rng(1).uniform(-1, 1, 50), np.full(50, 20.0)

    def f() -> float:
        return float(np.sum(x**2 + large))

    for factor in (1.0, 1.001):
        rng = np.random.default_rng(2)
        result = compare("x", f, x, factor * 2 * x, rng, magnitude=1000.0)
        assert result.ok == (factor == 1)


def test_a_gradient_that_is_not_a_number_is_wrong() -> None:
    x = np.ones(2)
    result = compare(
        "x", lambda: float(x.sum()), x, np.array([1, np.nan]), np.random.default_rng(0)
    )
    assert not result.ok


DATA = """
layer { name: "data" type: "Input" top: "x" top: "label"
        input_param { shape { dim: 6 dim: 4 } shape { dim: 6 } } }
"""

CLASSIFIER = (
    DATA
    + """
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
        param { name: "w" } inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
layer { name: "drop" type: "Dropout" bottom: "h" top: "h" }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "h2"
        param { name: "w" } inner_product_param { num_output: 4 } }
layer { name: "frozen" type: "InnerProduct" bottom: "h2" top: "score" param { lr_mult: 0 }
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
        loss_weight: 3 }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" }
"""
)


def net_of(text: str, dtype: type = np.float64) -> Net:
    param = bind(parse(Source("<text>", text)), NetParameter)
    net = Net(param, caffelite.TRAIN, dtype=dtype, seed=3)
    rng = np.random.default_rng(4)
    net.blobs["x"].data[...] = rng.normal(size=net.blobs["x"].shape)
    if "label" in net.blobs:
        net.blobs["label"].data[...] = rng.integers(0, 3, net.blobs["label"].shape)
    return net


def test_a_net_s_parameters_and_inputs_are_checked_and_it_is_left_as_it_was() -> None:
    net = net_of("force_backward: true" + CLASSIFIER)
    before = [net.arena.data.copy(), net.blobs["x"].data.copy()]
    results = check(net)
    names = [r.name for r in results]
    assert names == ["x", "ip1[0]", "ip1[1]", "ip2[1]", "frozen[0]", "frozen[1]"]
    assert all(r.ok and r.worst.error < 1e-6 for r in results), "\n".join(map(str, results))
    assert np.array_equal(net.arena.data, before[0])
    assert np.array_equal(net.blobs["x"].data, before[1])
    chance = net.streams.state()["streams"]["drop"]
    assert chance == net.streams.fresh("drop").bit_generator.state  # nothing was drawn from it yet


def test_without_force_backward_the_parameters_are_checked() -> None:
    names = [r.name for r in check(net_of(CLASSIFIER))]
    assert names == ["ip1[0]", "ip1[1]", "ip2[1]", "frozen[1]"]


def test_running_statistics_do_not_disturb_the_check() -> None:
    text = """force_backward: true
    layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 2 } } }
    layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" }
    layer { name: "scale" type: "Scale" bottom: "y" top: "z" scale_param { bias_term: true } }"""
    net = net_of(text)
    results = check(net)
    assert [r.name for r in results] == ["x", "scale[0]", "scale[1]"]
    assert all(r.ok for r in results), "\n".join(map(str, results))
    assert not net.params["bn"][2].data.any()


def test_a_planted_error_of_a_thousandth_is_found_in_a_net(monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_of("force_backward: true" + CLASSIFIER)
    layer = net.layer_dict["ip2"]
    right = layer.backward

    def wrong(top: Array, top_diff: Array, bottom: Array, bottom_diff: Array) -> None:
        right(top, top_diff, bottom, bottom_diff)
        bottom_diff[0][...] *= 1.001

    monkeypatch.setattr(layer, "backward", wrong)
    wrong_ones = {r.name for r in check(net) if not r.ok}
    assert wrong_ones == {"x", "ip1[0]", "ip1[1]"}


def test_a_net_that_cannot_be_checked_is_refused_with_advice() -> None:
    with pytest.raises(CaffeliteError, match="built with dtype"):
        check(net_of(CLASSIFIER, np.float32))
    with pytest.raises(CaffeliteError, match="force_backward"):
        check(net_of(DATA))
