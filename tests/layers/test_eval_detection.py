"""EvalDetection and YoloV1Loss: boxes of YOLO maps against true ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

import caffelite
from caffelite.blob import Array
from caffelite.errors import NetError
from caffelite.files import parse_net

V2 = "side: 1 num_class: 2 num_object: 2 biases: 1 biases: 1 biases: 1 biases: 0.5"


def evaluated(fields: str, maps: Array, labels: Array) -> Array:
    shapes = [" ".join(f"dim: {n}" for n in np.shape(x)) for x in (maps, labels)]
    net = caffelite.Net(
        parse_net(
            f'input: "map" input_shape {{ {shapes[0]} }} '
            f'input: "label" input_shape {{ {shapes[1]} }} '
            'layer { name: "e" type: "EvalDetection" bottom: "map" bottom: "label" top: "y" '
            f"eval_detection_param {{ {fields} }} }}",
            "m.net",
        ),
        caffelite.TEST,
        dtype=np.float64,
    )
    net.blobs["map"].data[...] = maps
    net.blobs["label"].data[...] = labels
    result: Array = net.forward()["y"]
    return result


def two_boxes(o: tuple[float, float], p: tuple[float, float]) -> Array:
    """A cell's boxes with these o, and these p of class 0."""
    rows = [
        [0, 0, 0, 0, math.log(s / (1 - s)), math.log(share / (1 - share)), 0]
        for s, share in zip(o, p)
    ]
    return np.array(rows).reshape(1, 14, 1, 1)


def test_boxes_of_all_classes_are_thinned_out_together() -> None:
    """They share 1/2; the better one is of class 0."""
    maps = two_boxes((0.5, 0.5), (0.75, 0.4))
    label = np.array([[0, 0.5, 0.5, 1, 1]])
    y = evaluated(V2 + " nms: 0.5", maps, label)
    np.testing.assert_allclose(y, [[1, 0, 0, 0.375, 1, 0, 0, 0, 0, 0]])
    y = evaluated(V2 + " nms: 0.51", maps, label)
    np.testing.assert_allclose(y, [[1, 0, 0, 0.375, 1, 0, 1, 0.3, 0, 1]])


def test_with_save_output_param_a_box_is_of_every_class() -> None:
    """Of four candidates two fit; within class 0 the second box is left out for the first."""
    maps = two_boxes((0.8, 0.5), (0.75, 0.6))
    label = np.array([[0, 0.5, 0.5, 1, 1]])
    fields = V2 + ' nms: 0.5 save_output_param { output_directory: "x" }'
    np.testing.assert_allclose(evaluated(fields, maps, label), [[1, 0, 0, 0.6, 1, 0, 1, 0.2, 0, 1]])


def test_scores_below_the_least_are_not_looked_at() -> None:
    maps = two_boxes((0.004, 0.5), (0.9, 0.9))
    y = evaluated(V2 + " nms: 0.9", maps, np.zeros((1, 10)))
    np.testing.assert_allclose(y, [[0, 0, 0, 0.45, 0, 1, 0, 0, 0, 0]])


@pytest.mark.parametrize(("kind", "score"), [("OBJ", 0.5), ("PROB", 0.8), ("MULTIPLY", 0.4)])
def test_scores(kind: str, score: float) -> None:
    maps = two_boxes((0.5, 0.004), (0.8, 0.6))
    y = evaluated(V2 + f" nms: 0.4 score_type: {kind}", maps, np.zeros((1, 5)))
    assert y[0, 3] == pytest.approx(score)


def test_rows_of_eight_behind_the_batch_are_nobodys() -> None:
    label = np.array([[[[1, 1, 0, 1, 1, 1, 1, 1], [-1] * 8, [0, 2, 0, 0, 0, 1, 1, 0]]]])
    y = evaluated(V2 + " nms: 0.4", two_boxes((0.5, 0.1), (0.2, 0.5)), label)
    np.testing.assert_allclose(y, [[0, 1, 1, 0.4, 1, 0, 0, 0, 0, 0]])


def test_v1_thins_out_boxes_only_if_asked() -> None:
    """Two equal boxes of one cell, of the whole image, its centre counted from the corner."""
    maps = np.array([[1.0, 0.5, 0.9, *(0.5, 0.5, 1, 1), *(0.5, 0.5, 1, 1)]])
    label = np.array([[0, 1, 0, 0.5, 0.5, 1, 1]])
    fields = "side: 1 num_class: 1 num_object: 2 constriant: false sqrt: false"
    np.testing.assert_allclose(evaluated(fields, maps, label), [[1, 0, 0.9, 1, 0, 0, 0.5, 0, 1]])
    y = evaluated(fields + " nms: 0.6", maps, label)
    np.testing.assert_allclose(y, [[1, 0, 0.9, 1, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("fields", "maps", "labels", "said"),
    [
        (V2, (1, 14, 1, 1), (1, 5), "nms is -1"),
        (V2 + " biases: 3 nms: 1", (1, 14, 1, 1), (1, 5), "5 biases for 2 anchors"),
        (V2 + " nms: 1", (1, 13, 1, 1), (1, 5), "expected 1 x 14 x 1 x 1"),
        (V2 + " nms: 1", (1, 14, 1, 1), (1, 6), "expected 1 x boxes x 5, or 1 x 1 x boxes x 8"),
        ("side: 2 num_class: 1 num_object: 1", (1, 23), (1, 28), "expected 1 x 6 x 2 x 2"),
        ("side: 2 num_class: 1 num_object: 1", (1, 24), (1, 7), "expected 1 x 28"),
    ],
)
def test_what_does_not_fit(
    fields: str, maps: tuple[int, ...], labels: tuple[int, ...], said: str
) -> None:
    with pytest.raises(NetError, match=said):
        evaluated(fields, np.zeros(maps), np.zeros(labels))


def test_a_class_that_is_none() -> None:
    with pytest.raises(NetError, match=r"a box is of class 2\n(.|\n)*expected 0 to 1"):
        evaluated(V2 + " nms: 1", np.zeros((1, 14, 1, 1)), np.array([[2, 0.5, 0.5, 1, 1]]))
    label = np.array([[[[0, 3, 0, 0, 0, 1, 1, 0]]]])
    with pytest.raises(NetError, match=r"a box is of class 3\n(.|\n)*expected 1 to 2"):
        evaluated(V2 + " nms: 1", np.zeros((1, 14, 1, 1)), label)


LOSS = """input: "map" input_shape { dim: 1 dim: %d }
input: "label" input_shape { dim: 1 dim: 7 }
layer { name: "l" type: "DetectionLoss" bottom: "map" bottom: "label" top: "loss"
  detection_loss_param { side: 1 num_class: 1 num_object: 1 } }"""


def test_a_detection_loss_with_a_side_is_yolo_v1s() -> None:
    net = caffelite.Net(parse_net(LOSS % 6, "m.net"), caffelite.TEST, dtype=np.float64)
    net.blobs["map"].data[...] = [[0.5, 0.25, 0.5, 0.5, 1, 1]]
    assert net.forward()["loss"] == pytest.approx(0.5 * 0.25**2 / 2)  # nothing is there
    net.blobs["label"].data[...] = [[0, 1, 0, 0.5, 0.5, 1, 1]]
    assert net.forward()["loss"] == pytest.approx((0.5**2 + 0.75**2) / 2)
    net.blobs["label"].data[0, 2] = 1
    with pytest.raises(NetError, match="a box is of class 1"):
        net.forward()
    with pytest.raises(NetError, match="expected 1 x 6"):
        caffelite.Net(parse_net(LOSS % 7, "m.net"), caffelite.TEST)
