"""Layers of Multi-task Network Cascades: masks of regions, regions that are moved again."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net

from .one_layer import net, python


@pytest.mark.parametrize(
    "layer, shapes, said",
    [
        ('type: "MaskPooling"', [(2, 3, 4, 4), (2, 1, 4, 3)], "masks of R x 1 x H x W"),
        (
            'type: "MaskResize" mask_resize_param { output_height: 2 }',
            [(1, 1, 3, 3)],
            "output_width",
        ),
        (
            'type: "MaskResize" mask_resize_param { output_height: 2 output_width: 2 }',
            [(3, 3)],
            "N x C x H x W",
        ),
        (python("pylayer.mask_layer", "MaskLayer"), [(2, 440)], "R x 441"),
        (
            python("pylayer.stage_bridge_layer", "StageBridgeLayer"),
            [(2, 5), (2, 8), (2, 3), (1, 3)],
            'bottom "b" is 2 x 8',
        ),
        (
            python("pylayer.stage_bridge_layer", "StageBridgeLayer"),
            [(2, 5), (2, 8), (2, 2), (1, 2)],
            'bottom "d" is 1 x 2',
        ),
        ('type: "SigmoidCrossEntropyLoss"', [(2, 3), (2, 3), (2, 2)], "a weight for each"),
    ],
)
def test_what_is_refused(layer: str, shapes: list[tuple[int, ...]], said: str) -> None:
    with pytest.raises(CaffeliteError, match=said):
        net(layer, *shapes)


def test_a_third_bottom_weighs() -> None:
    found = net('type: "SigmoidCrossEntropyLoss"', (1, 2), (1, 2), (1, 2))
    assert found.layers[-1].type == "WeightedSigmoidCrossEntropyLoss"
    found.blobs["c"].data[...] = [[4, 0]]
    found.blobs["a"].data[...] = [[0, 9]]
    assert float(found.forward()["y"]) == pytest.approx(np.log(2))


def test_the_values_of_a_region_become_a_mask() -> None:
    found = net(python("pylayer.mask_layer", "MaskLayer"), (2, 441))
    found.blobs["a"].data[...] = np.arange(882).reshape(2, 441)
    found.forward()
    assert found.blobs["y"].shape == (2, 1, 21, 21)
    assert found.blobs["y"].data[1, 0, 2, 3] == 441 + 2 * 21 + 3


def test_a_region_is_moved_by_its_best_class() -> None:
    found = net(
        python("pylayer.stage_bridge_layer", "StageBridgeLayer"), (2, 5), (2, 8), (2, 2), (1, 3)
    )
    found.blobs["a"].data[...] = [[0, 0, 0, 9, 9], [0, 4, 4, 7, 7]]
    found.blobs["b"].data[...] = [[0.1, 0, 0, 0, 5, 5, 5, 5], [5, 5, 5, 5, 0, 0.5, 0, 0]]
    found.blobs["c"].data[...] = [[2, 1], [1, 2]]
    found.blobs["d"].data[...] = [[30, 40, 1]]
    found.forward()
    np.testing.assert_allclose(found.blobs["y"].data, [[0, 1, 0, 11, 10], [0, 4, 6, 8, 10]])


def test_mncs_proposals_have_fields_for_their_own_gradient() -> None:
    said = "{'feat_stride': 16, 'gradient_scale': 1, 'use_clip': 1}"
    layer = python("pylayer.proposal_layer", "ProposalLayer", said)
    assert net(layer, (1, 18, 2, 2), (1, 36, 2, 2), (1, 3)).layers[-1].stride == 16


def test_regions_that_are_rounded_have_no_slope() -> None:
    text = """
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 1, 3, 3] } } }
      layer { name: "r" type: "Input" top: "r" input_param { shape { dim: [1, 5] } } }
      layer { name: "w" type: "ROIWarping" bottom: "x" bottom: "r" top: "y" propagate_down: true
        propagate_down: true roi_warping_param { pooled_h: 2 pooled_w: 2 } }"""
    found = caffelite.Net(parse_net("force_backward: true" + text, "a.net"), caffelite.TEST)
    found.blobs["r"].data[...] = [[0, 0, 0, 2, 2]]
    found.blobs["r"].diff[...] = 7
    found.forward()
    found.blobs["y"].diff[...] = 1
    found.backward()
    np.testing.assert_array_equal(found.blobs["r"].diff, 0)
    assert found.blobs["x"].diff.sum() == 4
