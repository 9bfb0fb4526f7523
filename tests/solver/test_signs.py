"""The probabilities behind what is said of losses."""

from __future__ import annotations

import numpy as np

from caffelite import TRAIN, Net
from caffelite.files import parse_net
from caffelite.solver.signs import _log_probability, _scores

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
