"""DecodeBBox: which boxes are left out in training, and the shapes that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite import TEST, TRAIN, Net
from caffelite.errors import NetError
from caffelite.files import parse_net

TEXT = """
layer { name: "in" type: "Input" top: "codes" top: "rois"
        input_param { shape { dim: 3 dim: %d } shape { dim: %d dim: %d } } }
layer { name: "d" type: "DecodeBBox" bottom: "codes" bottom: "rois" top: "boxes" }
"""


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_boxes_that_end_before_they_start_along_any_axis_are_left_out(phase: int) -> None:
    net = Net(parse_net(TEXT % (8, 3, 5), "f.net"), phase)
    net.blobs["codes"].data[...] = 0
    net.blobs["codes"].data[0, 6] = -9  # no width
    net.blobs["codes"].data[1, 7] = -9  # no height
    net.blobs["rois"].data[...] = [[0, 0, 0, 9, 9], [0, 0, 0, 9, 9], [0, 5, 6, 7, 8]]
    net.forward()
    boxes = net.blobs["boxes"].data.reshape(-1, 5)
    assert len(boxes) == (1 if phase == TRAIN else 3)
    assert np.allclose(boxes[-1], [0, 5, 6, 7, 8])


@pytest.mark.parametrize(("codes", "rois"), [(7, (3, 5)), (8, (2, 5)), (8, (3, 4))])
def test_other_shapes_are_refused(codes: int, rois: tuple[int, int]) -> None:
    name = "codes" if codes == 7 else "rois"
    with pytest.raises(NetError, match=f'bottom "{name}" is'):
        Net(parse_net(TEXT % (codes, *rois), "f.net"), TEST)
