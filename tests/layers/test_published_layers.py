"""Layers that came with a paper: DenseReg, CTPN, and small ones of other forks."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.errors import CaffeliteError

from .one_layer import net, python

STEPS, RESTS = (2, 1, 1, 2), (2, 3, 1, 2)


def combined(module: str) -> list[list[float]]:
    layer = python(module, "CombineRegressionsLayer")
    found = net(layer, STEPS, STEPS, RESTS, RESTS, tops="yz")
    found.blobs["a"].data[...] = np.array([1, 2, 2, 0]).reshape(STEPS)
    found.blobs["c"].data[...] = np.arange(12).reshape(RESTS) / 8
    found.forward()
    return found.blobs["y"].data.reshape(2, 2).tolist()


def test_coordinates_of_faces_and_of_bodies() -> None:
    """What is left over: 2/8 and 5/8 in the first sample, 10/8 in the second."""
    assert combined("CombineRegressions") == [
        [(1 + 0.25 - 1) / 2, (2 + 0.625 - 1) / 2],
        [1.125, -1],
    ]
    assert combined("CombineRegressionsHuman") == [[0.25, 0.625], [1, 0]]


def test_pieces_of_text_at_each_cell() -> None:
    said = "'feat_stride': 16"
    layer = python("layers.text_proposal_layer", "ProposalLayer", said)
    found = net(layer, (1, 20, 1, 2), (1, 20, 1, 2), (1, 3), tops="ys")
    found.blobs["a"].data[...] = np.arange(40).reshape(1, 20, 1, 2)
    found.blobs["c"].data[...] = [[500, 500, 1]]
    found.forward()
    boxes, scores = found.blobs["y"].data, found.blobs["s"].data
    assert boxes.shape == (20, 4) and scores.shape == (20, 1)
    assert scores[:2, 0].tolist() == [20, 22] and scores[10, 0] == 21
    np.testing.assert_array_equal(boxes[10:, 0], 16)
    np.testing.assert_array_equal(boxes[10], [16, 1.5, 31, 12.5])


@pytest.mark.parametrize(
    "layer, shapes, tops, said",
    [
        (
            python("CombineRegressions", "CombineRegressionsLayer"),
            [STEPS, STEPS, (2, 3, 1, 3), RESTS],
            "yz",
            'bottom "c" is 2 x 3 x 1 x 3',
        ),
        (
            python("CombineRegressions", "CombineRegressionsLayer"),
            [STEPS, STEPS, STEPS, STEPS],
            "yz",
            "D of 2 or more",
        ),
        (
            python("layers.text_proposal_layer", "ProposalLayer"),
            [(1, 20, 2, 2), (1, 20, 2, 2), (1, 3)],
            "yz",
            "no feat_stride",
        ),
        (
            python("layers.text_proposal_layer", "ProposalLayer", "'feat_stride': 16"),
            [(1, 20, 2, 2), (1, 40, 2, 2), (1, 3)],
            "yz",
            "1 x 20 x H x W",
        ),
        (
            python("layers.text_proposal_layer", "ProposalLayer", "'feat_stride': 16"),
            [(1, 20, 2, 2), (1, 20, 2, 2), (1, 1)],
            "yz",
            "1 x 3",
        ),
        ('type: "BilinearInterpolation"', [(2, 3)], "y", "N x C x H x W"),
    ],
)
def test_what_is_refused(layer: str, shapes: list[tuple[int, ...]], tops: str, said: str) -> None:
    with pytest.raises(CaffeliteError, match=said):
        net(layer, *shapes, tops=tops)


def test_corners_lie_on_each_other() -> None:
    found = net('type: "BilinearInterpolation"', (1, 1, 2, 3), (5, 7, 3, 5))
    found.blobs["a"].data[...] = [[[[0, 2, 6], [4, 6, 10]]]]
    found.forward()
    expected = [[0, 1, 2, 4, 6], [2, 3, 4, 6, 8], [4, 5, 6, 8, 10]]
    np.testing.assert_allclose(found.blobs["y"].data, [[expected]])


def test_a_distance_under_another_name() -> None:
    found = net('type: "ManhattanLoss"', (2, 2), (2, 2))
    found.blobs["a"].data[...] = [[1, -2], [3, 0]]
    assert float(found.forward()["y"]) == 3
