"""The probabilities behind what is said of losses."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import TRAIN, Net
from caffelite.files import parse_net
from caffelite.schema.solver import SolverParameter
from caffelite.solver.signs import Signs, _log_probability, _scores

TEXT = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 2 dim: 3 dim: 2 dim: 2 } shape { dim: 2 dim: 2 dim: 2 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }
"""


def test_the_logarithm_of_a_softmax() -> None:
    scores = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0], [500.0, 0.0, 0.0]], np.float32)
    labels = np.array([1, 2, 0])
    exact = [2 - np.log(np.exp([1, 2, 4]).sum()), -np.log(3), 0.0]
    np.testing.assert_allclose(_log_probability(scores, labels, False), exact, atol=1e-6)
    shares = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    found = _log_probability(shares, np.array([0, 1]), True)
    np.testing.assert_allclose(found, np.log([0.25, 0.5]))


def test_scores_of_places_are_samples() -> None:
    net = Net(parse_net(TEXT), TRAIN)
    x = net.blobs["x"].data
    x[...] = np.arange(x.size).reshape(x.shape)
    node = net.plan.graph.nodes[1]
    found = _scores(net, node, net.layers[1])
    assert found.shape == (8, 3)
    np.testing.assert_array_equal(found[0], x[0, :, 0, 0])
    np.testing.assert_array_equal(found[-1], x[1, :, 1, 1])


def looked_at(text: str, x: object, t: object, iterations: tuple[int, ...] = (0,)) -> list[str]:
    """What is said of the losses of a net with these inputs, at these iterations."""
    net = Net(parse_net(text), TRAIN, engine="numpy")
    net.blobs["x"].data[...] = x
    net.blobs["t"].data[...] = t
    net.forward()
    signs = Signs(net, SolverParameter(max_iter=1000))
    return [line for i in iterations for line in signs.look(i, 0.5)]


FLAT = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "loss" type: "%s" bottom: "x" bottom: "t" top: "loss" %s }
"""
HOPELESS = [[0, 900, 0], [0, 900, 0], [900, 0, 0], [0, 0, 900]]
"""Scores that are sure; of class 1 twice, of class 0 and of class 2."""


def test_samples_without_a_label_do_not_count() -> None:
    softmax = FLAT % ("SoftmaxWithLoss", "")
    (line,) = looked_at(softmax, HOPELESS, [0, 2, 0, 2])
    assert line.startswith('iteration 0: "loss" is 43.6683: 2 of 4 samples have the largest loss')
    assert "and 2/4 of it is 43.6683. Scores are as large as 900: the learning rate (0.5)" in line
    ignored = FLAT % ("SoftmaxWithLoss", "loss_param { ignore_label: 2 }")
    (line,) = looked_at(ignored, HOPELESS, [0, 2, 0, 2])
    assert "1 of 2 samples" in line
    assert looked_at(ignored, HOPELESS, [2, 1, 0, 2]) == []
    for number in (255, -1):
        text = FLAT % ("SoftmaxWithLoss", f"loss_param {{ ignore_label: {number} }}")
        (line,) = looked_at(text, HOPELESS, [0, number, number, 2])
        assert "1 of 2 samples" in line


def test_probabilities_that_are_0_are_at_the_floor() -> None:
    text = FLAT % ("MultinomialLogisticLoss", "")
    (line,) = looked_at(text, np.array(HOPELESS) / 900, [0, 1, 2, 2])
    assert "2 of 4 samples have the largest loss there is" in line
    assert looked_at(text, np.array(HOPELESS) / 900, [1, 1, 0, 2]) == []


def test_a_few_hopeless_samples_of_a_high_loss_are_no_sign() -> None:
    # one of four at the floor, 87.3, but the others have 60 each: most is not from the floor
    x = [[0, 900, 0], [0, 60, 0], [0, 60, 0], [0, 60, 0]]
    assert looked_at(FLAT % ("SoftmaxWithLoss", ""), x, [0, 0, 0, 0]) == []


def test_a_loss_below_chance_is_no_sign_whatever_a_few_samples_have() -> None:
    """One of 100 samples at the floor, the others right: 0.87, and ln 3 is 1.1."""
    text = (FLAT % ("SoftmaxWithLoss", "")).replace("dim: 4", "dim: 100")
    assert looked_at(text, [[0, 900, 0]] * 100, [0] + [1] * 99) == []
    assert len(looked_at(text, [[0, 900, 0]] * 100, [0, 0] + [1] * 98)) == 1


LEARNS = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "act" type: "ReLU" bottom: "x" top: "h" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "h" bottom: "t" top: "loss" }
"""


def test_a_loss_that_stays_must_stay_long_and_be_shown_often() -> None:
    uniform = np.ones((4, 3))
    always = tuple(range(0, 101, 25))  # five times, and over a tenth of max_iter
    assert looked_at(LEARNS, uniform, 0, always[:4]) == []
    assert looked_at(LEARNS, uniform, 0, tuple(range(9))) == []
    (line,) = looked_at(LEARNS, uniform, 0, (*always, 125, 150))
    assert '"loss" has stayed at 1.099 = ln 3 for 100 iterations: to the net all 3 classes' in line
    assert "The learning rate (0.5) may be too low or too high" in line
    (line,) = looked_at(LEARNS, -uniform, 0, always)
    assert '"h" of layer "act" (ReLU) is 0 for every sample' in line
    near = np.array([[1.009, 1, 1]] * 4)  # within one part in a hundred of ln 3
    assert len(looked_at(LEARNS, near, 1, always)) == 1
    assert looked_at(LEARNS, np.array([[1.05, 1, 1]] * 4), 1, always) == []


def test_two_classes_may_stay_and_one_has_nothing_to_learn() -> None:
    times = tuple(range(0, 101, 25))
    for classes, count in ((2, 1), (1, 0)):
        text = LEARNS.replace("dim: 4 dim: 3", f"dim: 4 dim: {classes}")
        assert len(looked_at(text, 1, 0, times)) == count


def test_data_of_zeros_is_no_dead_layer() -> None:
    (line,) = looked_at(FLAT % ("SoftmaxWithLoss", ""), 0, 0, tuple(range(0, 101, 25)))
    assert "The learning rate (0.5) may be too low or too high" in line


def test_a_break_in_a_loss_that_stays_begins_the_wait_anew() -> None:
    net = Net(parse_net(LEARNS), TRAIN, engine="numpy")
    signs, said = Signs(net, SolverParameter(max_iter=1000)), []
    for i in range(0, 301, 25):
        net.blobs["x"].data[...] = [5, 0, 0] if i == 75 else 1
        net.forward()
        said += [(i, line) for line in signs.look(i, 0.5)]
    assert [i for i, _ in said] == [200] and "for 100 iterations" in said[0][1]


@pytest.mark.parametrize(("max_iter", "waits"), [(0, 50), (100, 50), (2000, 200), (90000, 500)])
def test_how_long_is_long(max_iter: int, waits: int) -> None:
    net = Net(parse_net(LEARNS), TRAIN, engine="numpy")
    net.blobs["x"].data[...] = 1
    net.forward()
    signs = Signs(net, SolverParameter(max_iter=max_iter))
    found = [i for i in range(0, 601, 10) for _ in signs.look(i, 0.5)]
    assert found == [waits]
