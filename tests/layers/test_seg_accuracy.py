"""SegAccuracy: counts of a batch, or of all so far."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

NET = """input: "x" input_shape { dim: 1 dim: 2 dim: 1 dim: 2 }
input: "label" input_shape { %s }
layer { name: "a" type: "SegAccuracy" bottom: "x" bottom: "label" top: "a"
  seg_accuracy_param { %s } }"""
PLACES = "dim: 1 dim: 1 dim: 1 dim: 2"


def net_of(fields: str, places: str = PLACES) -> caffelite.Net:
    return caffelite.Net(parse_net(NET % (places, fields), "m.net"), caffelite.TEST)


def test_counts_go_on_without_reset() -> None:
    shown = {}
    for reset in ("true", "false"):
        net = net_of(f"reset: {reset}")
        for right in ([1, 1], [0, 1]):
            net.blobs["x"].data[0, 1] = 1  # class 1 everywhere
            net.blobs["label"].data[...] = right
            shown[reset] = net.forward()["a"].ravel()
    np.testing.assert_allclose(shown["true"], [1 / 2, 1 / 2, (0 + 1 / 2) / 2])
    np.testing.assert_allclose(shown["false"], [3 / 4, 1 / 2, (0 + 3 / 4) / 2])


def test_labels_that_are_no_classes() -> None:
    net = net_of("ignore_label: 255")
    net.blobs["label"].data[...] = [255, 2]
    with pytest.raises(NetError, match=r'labels "label": 2 is no class'):
        net.forward()
    with pytest.raises(NetError, match=r"expected 1 x 1 x 1 x 2 .*, one for each place"):
        net_of("", "dim: 1")
