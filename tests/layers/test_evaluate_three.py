"""DetectionEvaluate with three bottoms, as Cascade R-CNN has it: boxes in pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.errors import DataError, NetError
from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.layers.detection_evaluate import DetectionEvaluate
from caffelite.plan.build import plan_net
from caffelite.schema.common import Phase
from caffelite.schema.net import NetState

FIELDS = 'num_classes: 3 name_size_file: "%s"'


def text(fields: str, images: int = 2, width: int = 8) -> str:
    heads = "".join(
        f'input: "{name}" input_shape {{ dim: {shape[0]} dim: {shape[1]} }} '
        for name, shape in (("found", (5, 7)), ("objects", (3, width)), ("seen", (images, 2)))
    )
    return (
        heads + 'layer { name: "e" type: "DetectionEvaluate" bottom: "found" bottom: "objects" '
        f'bottom: "seen" top: "e" detection_evaluate_param {{ {fields} }} }}'
    )


def net_of(folder: Path, more: str = " overlap_threshold: 0.6", images: int = 2) -> caffelite.Net:
    """Images of 100 x 40, 50 x 50 and 7 x 7 pixels; seen are 200 x 80 and 100 x 50."""
    (folder / "sizes").write_text("a 100 40\nb 50 50\nc 7 7\n")
    net = caffelite.Net(parse_net(text(FIELDS % (folder / "sizes") + more, images)), caffelite.TEST)
    net.blobs["seen"].data[...] = [[200, 80], [100, 50]][:images]
    net.blobs["found"].data[...] = [
        [0, -1, -1, -1, -1, -1, -1],
        [0, 10, 10, 28, 28, 1, 0.5],
        [0, 10, 10, 29, 29, 1, 0.75],
        [0, 10, 10, 28, 28, 2, 0.25],
        [1, 0, 0, 9, 18, 2, 0.5],
    ]
    net.blobs["objects"].data[...] = [
        [0, 10, 10, 28, 28, 1, 0, 0],
        [1, 0, 0, 9, 38, 2, 0, 1],
        [-1, 0, 0, 0, 0, 0, 0, 0],
    ]
    return net


def test_boxes_are_measured_in_the_pixels_of_their_images(tmp_path: Path) -> None:
    net = net_of(tmp_path)
    found = net.forward()["e"]
    assert found.shape == (6, 5, 1, 1)
    wanted = [
        [-1, 1, 1, -1, -1],
        [-1, 2, 1, -1, -1],
        [0, 1, 0.75, 1, 0],
        [0, 1, 0.5, 0, 1],
        [0, 2, 0.25, 0, 1],
        [1, 2, 0.5, 0, 1],
    ]
    np.testing.assert_allclose(found[:, :, 0, 0], wanted)


def test_overlaps_are_those_in_the_image_as_it_was(tmp_path: Path) -> None:
    """As it is seen, 2 columns of 3; in the image of 40 columns, with the borders, 1.5 of 2; in
    that of 50, 1.625 of 2.25; and 1.0875 of 1.175 in that of 7."""
    for threshold, right in ((0.7, [1, 1, 1, 1]), (0.74, [1, 0, 1, 1]), (0.9, [0, 0, 1, 0])):
        net = net_of(tmp_path, f" overlap_threshold: {threshold}", images=1)
        found = net.blobs["found"].data
        found[:, 0], found[:, 5] = 0, -1
        found[0] = [0, 0, 0, 1, 9, 1, 0.5]
        net.blobs["objects"].data[:, 0] = [0, -1, -1]
        net.blobs["objects"].data[0, 1:5] = [0, 0, 2, 9]
        assert [net.forward()["e"][2, 3, 0, 0] for _ in range(4)] == right


def test_difficult_objects_do_not_count(tmp_path: Path) -> None:
    net = net_of(tmp_path, " evaluate_difficult_gt: false")
    net.blobs["found"].data[4, 4] = 38
    found = net.forward()["e"][:, :, 0, 0]
    assert found[1].tolist() == [-1, 2, 0, -1, -1]
    assert found[5].tolist() == [1, 2, 0.5, 0, 0]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(NetError, match="name_size_file is missing"):
        caffelite.Net(parse_net(text("num_classes: 3")), caffelite.TEST)
    with pytest.raises(NetError, match="resize_param with three bottoms"):
        net_of(tmp_path, " resize_param { height: 3 width: 3 }")
    with pytest.raises(NetError, match="rows of 8"):
        caffelite.Net(parse_net(text(FIELDS % (tmp_path / "sizes"), width=5)), caffelite.TEST)
    with pytest.raises(NetError, match="image 1, but there are sizes of 1"):
        net_of(tmp_path, images=1).forward()


def test_a_net_is_planned_without_the_file() -> None:
    net, state = parse_net(text(FIELDS % "nowhere")), NetState(phase=Phase.TEST)
    plan = plan_net(net, state, Context(Phase.TEST, data=False))
    assert [node.spec.name for node in plan.graph.nodes][-1] == "e"
    with pytest.raises(NetError, match='no file of names and sizes "nowhere"'):
        caffelite.Net(net, caffelite.TEST)
    layer = DetectionEvaluate(net.layer[-1], Context(Phase.TEST, data=False))
    layer.setup([])
    with pytest.raises(DataError, match='"nowhere" is left out'):
        layer.find([np.zeros((1, 7)), np.zeros((1, 8)), np.ones((1, 2))])
