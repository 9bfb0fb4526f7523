"""RegionLoss and Yolov3: maps that learn true boxes, which their output layers find then."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.errors import NetError
from caffelite.files import parse_net

REGION = "num_class: 2 num: 2 biases: 1 biases: 1 biases: 3 biases: 2 coord_scale: 1"
V3 = (
    "num_class: 2 num: 2 biases: 16 biases: 16 biases: 48 biases: 32 biases: 160 biases: 160 "
    "mask: 0 mask: 1 anchors_scale: 16 coord_scale: 1"
)
TRUE = [(0, 0.3, 0.45, 0.24, 0.2), (1, 0.65, 0.7, 0.6, 0.5)]
"""Class, centre and size of the boxes of one image."""


def fives() -> np.ndarray:
    return np.array([[*TRUE[0], *TRUE[1], *[0] * 5]])


def eights() -> np.ndarray:
    rows = [[0, c + 1, 0, x - w / 2, y - h / 2, x + w / 2, y + h / 2, 0] for c, x, y, w, h in TRUE]
    return np.array([[[*rows, [-1.0] * 8]]])


def net_of(
    layer: str, labels: np.ndarray, tops: str = 'top: "l" top: "shown"', images: int = 1
) -> caffelite.Net:
    dims = " ".join(f"dim: {n}" for n in labels.shape)
    return caffelite.Net(
        parse_net(
            f'force_backward: true input: "map" input_shape {{ dim: {images} dim: 14 dim: 5 dim: 5 '
            f'}} input: "label" input_shape {{ {dims} }} '
            f'layer {{ name: "l" bottom: "map" bottom: "label" {tops} {layer} }}',
            "y.net",
        ),
        caffelite.TRAIN,
        dtype=np.float64,
    )


LAYERS = [
    (f'type: "RegionLoss" region_loss_param {{ {REGION} }}', fives),
    (f'type: "RegionLoss" region_loss_param {{ {REGION} rescore: 0 }}', fives),
    (f'type: "RegionLoss" region_loss_param {{ {REGION} }}', eights),
    (f'type: "Yolov3" yolov3_param {{ {V3} }}', fives),
    (f'type: "Yolov3" yolov3_param {{ {V3} use_logic_gradient: true }}', eights),
    (f'type: "Yolov3" yolov3_param {{ {V3} use_focal_loss: true class_scale: 4 }}', eights),
]


@pytest.mark.parametrize("layer, labels", LAYERS)
def test_a_map_learns_its_boxes(layer: str, labels: Any) -> None:
    net = net_of(layer, labels())
    net.blobs["label"].data[...] = labels()
    # a hundredth of the step that a solver takes, many times
    losses, shown = [], []
    for _ in range(1500):
        net.forward()
        losses.append(net.blobs["l"].data.item())
        shown.append(net.blobs["shown"].data.item())
        net.backward()
        net.blobs["map"].data[...] -= net.blobs["map"].diff
    assert losses[-1] < losses[0] / 3 and shown[-1] < shown[0] / 50
    output = (
        'type: "YoloDetectionOutput" yolo_detection_output_param { num_classes: 2 num_box: 2 '
        "confidence_threshold: 0.5 biases: 1 biases: 1 biases: 3 biases: 2 }"
        if "Region" in layer
        else 'type: "Yolov3DetectionOutput" yolov3_detection_output_param { num_classes: 2 '
        "num_box: 2 confidence_threshold: 0.5 biases: 16 biases: 16 biases: 48 biases: 32 mask: 0 "
        "mask: 1 mask_group_num: 1 anchors_scale: 16 }"
    )
    finds = caffelite.Net(
        parse_net(
            'input: "map" input_shape { dim: 1 dim: 14 dim: 5 dim: 5 } '
            f'layer {{ name: "o" bottom: "map" top: "o" {output} }}'
        ),
        caffelite.TEST,
    )
    finds.blobs["map"].data[...] = net.blobs["map"].data
    found = finds.forward()["o"].reshape(-1, 7)
    found = found[np.argsort(found[:, 1])]
    assert found[:, 1].tolist() == [1, 2]
    np.testing.assert_allclose(found[:, 3:], eights().reshape(-1, 8)[:2, 3:7], atol=0.02)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_region_loss_by_hand() -> None:
    """One cell of many, counted number by number: the anchor, its overlap, each channel's δ."""
    net = net_of(
        'type: "RegionLoss" region_loss_param { num_class: 2 num: 2 biases: 1 biases: 1 biases: 3 '
        "biases: 2 object_scale: 5 noobject_scale: 1 class_scale: 3 coord_scale: 2 thresh: 0.4 }",
        fives()[:, 5:],
    )
    net.blobs["label"].data[...] = fives()[:, 5:]
    t = np.random.default_rng(0).normal(size=(2, 7, 5, 5))
    net.blobs["map"].data[...] = t.reshape(1, 14, 5, 5)
    net.forward()
    net.backward()
    # the box's centre is (3.25, 3.5) in cells: row 3, column 3; 3 x 2.5 cells are most like 3 x 2
    x, y = 3.25 - 3, 3.5 - 3
    mine = t[1, :, 3, 3]
    sx, sy, o = (logistic(mine[i]) for i in (0, 1, 4))
    w, h = 3 * math.exp(mine[2]), 2 * math.exp(mine[3])
    left, right = max(3 + sx - w / 2, 3.25 - 1.5), min(3 + sx + w / 2, 3.25 + 1.5)
    above, below = max(3 + sy - h / 2, 3.5 - 1.25), min(3 + sy + h / 2, 3.5 + 1.25)
    both = (right - left) * (below - above)
    overlap = both / (w * h + 3 * 2.5 - both)
    p = math.exp(mine[6]) / (math.exp(mine[5]) + math.exp(mine[6]))
    delta = [
        2 * (sx - x) * sx * (1 - sx),
        2 * (sy - y) * sy * (1 - sy),
        2 * mine[2],
        2 * (mine[3] - math.log(2.5 / 2)),
        5 * (o - overlap) * o * (1 - o),
        3 * (1 - p),
        3 * (p - 1),
    ]
    diff = net.blobs["map"].diff.reshape(2, 7, 5, 5)
    np.testing.assert_allclose(diff[1, :, 3, 3], delta, rtol=1e-10)
    # elsewhere a score is to be 0, unless the box is found there
    others = diff.copy()
    others[1, :, 3, 3] = 0
    assert not others[:, [0, 1, 2, 3, 5, 6]].any()
    scores = 1 / (1 + np.exp(-t[:, 4]))
    low = others[:, 4] != 0
    np.testing.assert_allclose(others[:, 4][low], (scores**2 * (1 - scores))[low], rtol=1e-10)
    assert 40 <= low.sum() < 50
    assert net.blobs["shown"].data == pytest.approx((diff**2).sum())


def test_the_anchors_that_learn_a_box() -> None:
    """The best of all, if it is this map's, and those that are alike by more than iou_thresh."""

    def learned(mask: str, threshold: float) -> list[int]:
        net = net_of(
            f'type: "Yolov3" yolov3_param {{ num_class: 2 num: 2 biases: 16 biases: 16 biases: 8 '
            f"biases: 8 biases: 48 biases: 32 biases: 48 biases: 48 {mask} anchors_scale: 16 "
            f"iou_thresh: {threshold} }}",
            fives()[:, 5:],
        )
        net.blobs["label"].data[...] = fives()[:, 5:]
        net.forward()
        net.backward()
        diff = net.blobs["map"].diff.reshape(2, 7, 5, 5)[:, 4, 3, 3]
        return np.flatnonzero(diff < 0).tolist()  # whose score is to rise

    # 3 x 2.5 cells: alike by 6/7.5 with 3 x 2, by 7.5/9 with 3 x 3, by 1/7.5 with 1 x 1
    assert learned("mask: 2 mask: 3", 0.82) == [1]
    assert learned("mask: 2 mask: 3", 0.79) == [0, 1]
    assert learned("mask: 0 mask: 2", 0.9) == []  # the best one is another map's
    assert learned("mask: 0 mask: 2", 0.79) == [1]
    # the fork's slip: of the others it passes over the one whose number is the best one's place
    assert learned("mask: 1 mask: 3", 0.01) == [1]
    assert learned("mask: 0 mask: 3", 0.01) == [0, 1]


@pytest.mark.parametrize(
    "layer, labels, word",
    [
        ('type: "RegionLoss" region_loss_param { num: 2 num_class: 2 biases: 1 }', 0, "1 biases"),
        (LAYERS[0][0].replace("num_class: 2", "num_class: 3"), 0, "5 \\+ 3 channels"),
        (LAYERS[0][0].replace("num:", 'softmax_tree: "t" num:'), 0, "softmax_tree is not built"),
        (LAYERS[3][0].replace("mask: 1", "mask: 3"), 0, "mask goes up to 3"),
        (LAYERS[3][0].replace("mask: 1", ""), 0, "1 mask for 2 anchors"),
        (LAYERS[3][0].replace("num:", "iou_loss: GIOU num:"), 0, "iou_loss GIOU is not built in"),
        (LAYERS[0][0], np.zeros((1, 7)), "boxes x 5"),
        (LAYERS[0][0], np.array([[2, 0.5, 0.5, 0.5, 0.5]]), "of class 2"),
        (LAYERS[0][0], np.array([[1, 1, 0.5, 0.5, 0.5]]), "centre at \\(1, 0.5\\)"),
        (LAYERS[3][0], np.array([[[[0, 3, 0, 0.1, 0.1, 0.2, 0.2, 0]]]]), "of class 3"),
        (LAYERS[3][0], np.array([[[[1, 1, 0, 0.1, 0.1, 0.2, 0.2, 0]]]]), "of image 1"),
        (LAYERS[3][0], np.array([[[[0, 1, 0, 0.3, 0.1, 0.2, 0.2, 0]]]]), "a size above 0"),
    ],
)
def test_refusals(layer: str, labels: Any, word: str) -> None:
    values = np.zeros((1, 5)) if isinstance(labels, int) else labels
    with pytest.raises(NetError, match=word):
        net = net_of(layer, values)
        net.blobs["label"].data[...] = values
        net.forward()


def test_the_commands_run_it(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`time` and `gradcheck` have no data: they find labels that fit."""
    path = tmp_path / "y.net"
    path.write_text(
        'input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 4 } '
        'input: "label" input_shape { dim: 2 dim: 10 } layer { name: "c" type: "Convolution" '
        'bottom: "x" top: "c" convolution_param { num_output: 14 kernel_size: 1 weight_filler { '
        'type: "xavier" } } } layer { name: "l" bottom: "c" bottom: "label" top: "l" '
        f"{LAYERS[1][0]} }}"
    )
    assert main(["check", str(path)]) == 0
    assert main(["gradcheck", str(path)]) == 0, capsys.readouterr().out
    assert main(["time", str(path), "--iterations", "1"]) == 0
