"""Layers of happynear's fork: what is drawn, what is found, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net


def net_of(layers: str, phase: int = caffelite.TEST, **shapes: tuple[int, ...]) -> caffelite.Net:
    text = "force_backward: true " + " ".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }}'
        for name, shape in shapes.items()
    )
    return caffelite.Net(parse_net(text + layers, "f.net"), phase, dtype=np.float64, seed=2)


def test_slopes_are_drawn_between_the_bounds() -> None:
    text = (
        'layer { name: "i" type: "Insanity" bottom: "x" top: "y" insanity_param { lb: 2 ub: 4 } }'
    )
    net = net_of(text, caffelite.TRAIN, x=(50, 40))
    net.blobs["x"].data[...] = -1
    slopes = -net.forward()["y"].copy()
    assert slopes.min() > 0.25 and slopes.max() < 0.5 and slopes.std() > 0.05
    assert (1 / slopes).mean() == pytest.approx(3, abs=0.05)
    net.blobs["y"].diff[...] = 1
    net.backward()
    np.testing.assert_allclose(net.blobs["x"].diff, slopes)


def test_bounds_in_the_wrong_order() -> None:
    with pytest.raises(NetError, match="lb is 5 and ub 4"):
        net_of('layer { type: "Insanity" bottom: "x" top: "y" insanity_param { ub: 4 } }', x=(1, 2))


BOX = 'layer { name: "b" type: "PredictBox" bottom: "s" bottom: "t" top: "map" top: "boxes" }'


def test_boxes_come_column_by_column() -> None:
    net = net_of(BOX, s=(1, 2, 2, 3), t=(1, 4, 2, 3))
    net.blobs["s"].data[0, 1] = [[0.6, 0, 0.8], [0.7, 0.9, 0]]
    boxes = net.forward()["boxes"]
    assert boxes.shape == (1, 4, 5)
    np.testing.assert_allclose(boxes[0, :, 4], [0.6, 0.7, 0.9, 0.8])
    np.testing.assert_allclose(boxes[0, :, :2], [[0, 0], [0, 2], [2, 2], [4, 0]])
    net.blobs["s"].data[...] = 0
    assert net.forward()["boxes"].shape == (1, 1, 5) and not net.blobs["boxes"].data.any()


def test_two_pictures_have_maps_alone() -> None:
    net = net_of(BOX, s=(2, 2, 1, 1), t=(2, 4, 1, 1))
    net.blobs["s"].data[...] = 0.9
    assert not net.forward()["boxes"].any()
    np.testing.assert_allclose(net.blobs["map"].data[:, 4], 0.9)


def test_codes_of_another_size() -> None:
    with pytest.raises(NetError, match="expected N x 4 x H x W"):
        net_of(BOX, s=(1, 2, 2, 3), t=(1, 4, 3, 2))
