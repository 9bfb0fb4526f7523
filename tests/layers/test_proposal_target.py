"""ProposalTargets at the bounds of what is an object."""

from __future__ import annotations

import numpy as np

from caffelite import TRAIN, Net
from caffelite.files import parse_net

TEXT = """
layer { name: "in" type: "Input" top: "rois" top: "gt"
        input_param { shape { dim: 2 dim: 5 } shape { dim: 1 dim: 5 } } }
layer { name: "t" type: "ProposalTargets" bottom: "rois" bottom: "gt" top: "out" top: "labels"
        top: "targets" top: "inside" top: "outside" python_param { param_str: "'num_classes': 3" } }
"""


def test_an_overlap_of_exactly_one_half_is_an_object() -> None:
    net = Net(parse_net(TEXT, "f.net"), TRAIN)
    net.blobs["gt"].data[...] = [[0, 0, 9, 9, 2]]
    # 10 of 20 columns are common; then 10 of 21
    net.blobs["rois"].data[...] = [[0, 0, 0, 19, 9], [0, 0, 0, 20, 9]]
    net.forward()
    labels = {
        float(roi[3]): float(label)
        for roi, label in zip(net.blobs["out"].data, net.blobs["labels"].data.ravel())
    }
    assert labels == {9.0: 2.0, 19.0: 2.0, 20.0: 0.0}
    assert np.count_nonzero(net.blobs["inside"].data) == 8
