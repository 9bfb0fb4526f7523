"""ClusterDetections: groups of boxes that are alike."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.layers.cluster_detections import grouped

NET = """input: "c" input_shape { dim: 1 dim: 2 dim: 2 dim: 3 }
input: "b" input_shape { dim: 1 dim: 4 dim: 2 dim: 3 }
layer { name: "d" type: "Python" bottom: "c" bottom: "b" %s python_param {
  module: "caffe.layers.detectnet.clustering" layer: "ClusterDetections" param_str: "%s" } }"""
TWO = 'top: "x" top: "y"'


def test_the_python_layer_of_detectnet_is_this_one() -> None:
    net = caffelite.Net(parse_net(NET % (TWO, "30, 20, 10, 0.6, 1, 0.2, 8, 2")), caffelite.TEST)
    assert net.layers[-1].type == "ClusterDetections"
    net.blobs["c"].data[0, 1] = 0.7
    corners = net.blobs["b"].data[0]
    corners[0] = [[5, -5, -15], [5, -5, 100]]
    corners[1] = [[2, 2, 2], [-8, -8, 100]]
    corners[2] = [[25, 15, 5], [25, 15, 120]]
    corners[3] = [[12, 12, 12], [2, 2, 109]]  # of a height of 10; the last, alone, of 9
    found = net.forward()
    assert not found["x"].any()
    np.testing.assert_allclose(found["y"][0, 0], [5, 2, 25, 12, np.log(5)], rtol=1e-3)
    assert not found["y"][0, 1:].any()


def test_boxes_that_are_alike_in_a_chain_are_one_group() -> None:
    boxes = np.array([[0, 0, 10, 10], [2, 0, 10, 10], [50, 0, 9, 9], [4, 0, 10, 10]], float)
    found, counts = grouped(boxes, 1, 0.25)
    assert found.tolist() == [[2, 0, 10, 10]] and counts.tolist() == [3]
    assert grouped(boxes, 0, 0.25)[0].tolist() == boxes.tolist()
    assert grouped(boxes[:0], 1, 0.25)[0].shape == (0, 4)


def test_a_small_group_within_a_larger_one_is_left_out() -> None:
    large, small = np.tile([0.0, 0, 40, 40], (4, 1)), np.tile([10.0, 10, 6, 6], (3, 1))
    found, counts = grouped(np.concatenate([small, large]), 1, 0.1)
    assert found.tolist() == [[0, 0, 40, 40]] and counts.tolist() == [4]
    found, _ = grouped(np.concatenate([small, large[:3]]), 1, 0.1)
    assert found.tolist() == [[10, 10, 6, 6], [0, 0, 40, 40]]
    found, _ = grouped(np.concatenate([small[:2], large[:2]]), 1, 0.1)
    assert found.tolist() == [[0, 0, 40, 40]]


@pytest.mark.parametrize(
    ("tops", "text", "said"),
    [
        (TWO, "30, 20", 'param_str is "30, 20"'),
        (TWO, "a, b", 'param_str is "a, b"'),
        (TWO, "30, 20, 10, 0.6, 1, 0.2, 8", "and there are 2 tops"),
        ('top: "x"', "30, 20, 10, 0.6, 1, 0.2, 8", "expected N x 1 x H x W"),
    ],
)
def test_what_is_refused(tops: str, text: str, said: str) -> None:
    with pytest.raises(NetError, match=said):
        caffelite.Net(parse_net(NET % (tops, text)), caffelite.TEST)
