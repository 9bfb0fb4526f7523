"""MS-CNN's and Cascade R-CNN's layers: which cells count, boxes that are learned, detections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

FIELD = "cls_num: 2 field_h: 16 field_w: 16 downsample_rate: 8"


def net_of(layers: str, channels: int = 6, phase: Any = caffelite.TRAIN) -> caffelite.Net:
    return caffelite.Net(
        parse_net(
            f'force_backward: true input: "map" input_shape {{ dim: 2 dim: {channels} dim: 4 '
            'dim: 5 } input: "label" input_shape { dim: 2 dim: 6 dim: 4 dim: 5 } ' + layers,
            "m.net",
        ),
        phase,
        dtype=np.float64,
        seed=3,
    )


def loss(more: str, bottoms: str = 'bottom: "map" bottom: "label"') -> str:
    return (
        f'layer {{ name: "l" type: "DetectionLoss" {bottoms} top: "l" top: "boxes" '
        f"detection_loss_param {{ {FIELD} {more} }} }}"
    )


def labels(net: caffelite.Net) -> np.ndarray:
    """An object of 20 x 12 pixels in the first image, none in the second."""
    label = net.blobs["label"].data
    label[...] = 0
    label[0, :, 1, 2] = 1, 22, 11, 20, 12, 0.8
    label[0, 5, 1, 1] = 0.6
    return label


def counting(net: caffelite.Net) -> np.ndarray:
    """The cells whose scores have a gradient."""
    net.forward()
    net.backward()
    return np.abs(net.blobs["map"].diff[:, :2]).sum(1) > 0


def test_all_backgrounds_count_but_those_on_an_object() -> None:
    net = net_of(loss('sample_mode: "all" bg_threshold: 0.5'))
    labels(net)
    cells = counting(net)
    assert cells.sum() == 2 * 20 - 1 and not cells[0, 1, 1]


def test_the_hardest_backgrounds() -> None:
    net = net_of(loss('sample_mode: "bootstrap" bg_multiple: 6'))
    labels(net)
    scores = net.blobs["map"].data[:, 1]
    scores[...] = np.random.default_rng(0).permutation(40).reshape(2, 4, 5)
    scores[0, 1, 1] = 99  # on the object: it does not count, however hard
    cells = counting(net)
    # 6 for the one object, and 4 at least where there is none
    assert cells[0].sum() == 1 + 6 and cells[1].sum() == 4
    rest = scores[1].ravel()
    assert set(rest[cells[1].ravel()]) == set(np.sort(rest)[-4:])
    assert cells[0, 1, 2] and not cells[0, 1, 1]


def test_random_backgrounds_come_from_the_seed() -> None:
    first, again = net_of(loss("bg_multiple: 3")), net_of(loss("bg_multiple: 3"))
    for net in (first, again):
        labels(net)
    cells = counting(first)
    np.testing.assert_array_equal(cells, counting(again))
    assert cells[0, 1, 2] and 1 < cells[0].sum() <= 1 + 4 and 0 < cells[1].sum() <= 4
    assert not np.array_equal(cells, counting(first))  # another pass draws again


def test_objects_and_backgrounds_weigh_as_if_there_were_enough() -> None:
    net = net_of(loss('sample_mode: "all" bg_multiple: 3 pos_neg_weighted: true'))
    labels(net)
    counting(net)
    weight = np.abs(net.blobs["map"].diff[:, 0]) * 2  # p is 1/2 everywhere
    assert weight[0, 1, 2] == pytest.approx(1 / 4)
    assert weight.sum() == pytest.approx(1)
    np.testing.assert_allclose(weight[1], 3 / 4 / 38)


def test_a_map_learns_its_object() -> None:
    """And BoxOutput finds it then."""
    net = net_of(
        loss('sample_mode: "bootstrap" lambda: 4')
        + 'layer { name: "a" type: "DetectionAccuracy" bottom: "map" bottom: "label" top: "a" '
        f'top: "overlap" detection_accuracy_param {{ {FIELD} field_xyr: 2 }} }}'
    )
    labels(net)
    losses = []
    for _ in range(400):
        net.forward()
        losses.append(net.blobs["l"].data.item())
        net.backward()
        net.blobs["map"].data[...] -= net.blobs["map"].diff
    assert losses[-1] < losses[0] / 10
    net.forward()
    np.testing.assert_allclose(net.blobs["a"].data.ravel(), [1, 1])
    assert net.blobs["overlap"].data.item() > 0.98
    finds = caffelite.Net(
        parse_net(
            'input: "map" input_shape { dim: 2 dim: 6 dim: 4 dim: 5 } layer { name: "o" '
            'type: "BoxOutput" bottom: "map" top: "o" box_output_param { field_h: 16 field_w: 16 '
            "downsample_rate: 8 fg_thr: 1 min_size: 4 } }"
        ),
        caffelite.TEST,
    )
    finds.blobs["map"].data[...] = net.blobs["map"].data
    found = finds.forward()["o"].reshape(-1, 5)
    np.testing.assert_allclose(found, [[0, 12, 5, 32, 17]], atol=0.3)


def test_means_and_deviations_of_codes() -> None:
    reg = (
        "bbox_reg_param { bbox_mean: 0.1 bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 bbox_std: 0.1 "
        "bbox_std: 0.2 bbox_std: 0.5 bbox_std: 0.5 }"
    )
    net = net_of(loss('sample_mode: "all"')[:-1] + reg + "}")
    labels(net)
    # the cell's centre is (20, 12): codes (2/16, -1/16, ln 20/16, ln 12/16)
    codes = (np.array([2 / 16, -1 / 16, np.log(20 / 16), np.log(12 / 16)]) - [0.1, 0, 0, 0]) / [
        *(0.1, 0.2, 0.5, 0.5)
    ]
    net.blobs["map"].data[0, 2:, 1, 2] = codes
    net.forward()
    assert net.blobs["boxes"].data == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "text, channels, word",
    [
        (loss("").replace("cls_num: 2", ""), 6, "cls_num is missing"),
        (loss("objectness: true").replace("cls_num: 2", "cls_num: 3"), 7, "objectness with 3"),
        (loss(""), 7, "N x 6 x H x W, scores and codes"),
        (loss("", 'bottom: "map" bottom: "map"').replace("cls_num: 2", "cls_num: 4"), 8, "overlap"),
    ],
)
def test_refusals(text: str, channels: int, word: str) -> None:
    with pytest.raises(NetError, match=word):
        net_of(text, channels)


def test_labels_that_are_no_class() -> None:
    net = net_of(loss(""))
    labels(net)[0, 0, 0, 0] = 2
    with pytest.raises(NetError, match="2 is not a class: there are 2 classes"):
        net.forward()


def frcnn(more: str = "", regions: int = 2) -> caffelite.Net:
    shapes = {"prob": (regions, 3), "codes": (regions, 12), "rois": (regions, 5), "size": (1, 2)}
    heads = "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }} '
        for name, shape in shapes.items()
    )
    return caffelite.Net(
        parse_net(
            heads + 'layer { name: "f" type: "FrcnnOutput" bottom: "prob" bottom: "codes" '
            f'bottom: "rois" bottom: "size" top: "f" frcnn_output_param {{ {more} }} }}'
        ),
        caffelite.TEST,
    )


def test_frcnn_output_finds_nothing() -> None:
    net = frcnn("conf_thr: 0.5")
    found = net.forward()["f"]
    np.testing.assert_array_equal(found, np.array([0] + [-1] * 6).reshape(1, 7, 1, 1))


@pytest.mark.parametrize("of, kept", [("IOU", 3), ("IOMU", 2), ("IOFU", 2)])
def test_frcnn_outputs_overlaps(of: str, kept: int) -> None:
    """A box of 10 x 10 and one of 10 x 20 around it: half of the larger, all of the smaller."""
    net = frcnn(f'iou_thr: 0.6 conf_thr: 0.1 nms_type: "{of}"')
    net.blobs["prob"].data[:, 1] = 0.9, 0.8
    net.blobs["rois"].data[:, 1:] = [[5, 5, 14, 14], [5, 0, 14, 19]]
    net.blobs["size"].data[...] = 60, 60
    assert len(net.forward()["f"]) == kept


def test_frcnn_output_is_for_one_image() -> None:
    net = frcnn()
    net.blobs["rois"].data[1, 0] = 1
    with pytest.raises(NetError, match="regions of another image than 0"):
        net.forward()
    with pytest.raises(NetError, match='nms_type is "MAX"'):
        frcnn('nms_type: "MAX"')


def targets(more: str, rois: np.ndarray, objects: np.ndarray, reg: str = "") -> Any:
    net = caffelite.Net(
        parse_net(
            f'input: "rois" input_shape {{ dim: {len(rois)} dim: 5 }} input: "objects" '
            f"input_shape {{ dim: {len(objects)} dim: 7 }} "
            'layer { name: "t" type: "ProposalTarget" bottom: "rois" bottom: "objects" top: "r" '
            'top: "label" top: "codes" top: "in" top: "out" top: "match" top: "weight" '
            f"proposal_target_param {{ cls_num: 3 {more} }} bbox_reg_param {{ {reg} }} }}"
        ),
        caffelite.TRAIN,
        dtype=np.float64,
        seed=2,
    )
    net.blobs["rois"].data[...], net.blobs["objects"].data[...] = rois, objects
    net.forward()
    return {name: blob.data.reshape(len(blob.data), -1) for name, blob in net.blobs.items()}


REGIONS = np.array([[0.0, x, 0, x + 9, 9] for x in range(0, 200, 4)])
OBJECTS = np.array([[0.0, 1, 0, 10, 9, 2, 0], [0.0, 101, 0, 110, 9, 1, 0], [0, 61, 0, 70, 9, 1, 1]])
SIZE = "img_width: 240 img_height: 120 num_img_per_batch: 1"


def test_regions_are_chosen() -> None:
    found = targets(f"batch_size: 20 fg_fraction: 0.2 bg_thr_lw: 0.1 {SIZE}", REGIONS, OBJECTS)
    labels, rois = found["label"][:, 0], found["r"]
    assert len(labels) == 20 and np.count_nonzero(labels) == 4
    assert (labels[:4] > 0).all() and not labels[4:].any()
    # what overlaps the third object by half or more is neither an object nor a background
    near = np.abs(rois[:, 1] - 61) * 2 <= 20 / 3
    assert not near.any()
    # backgrounds that overlap by a tenth or more come first, then the first of the others
    shares = np.maximum(0, 10 - np.abs(rois[4:, 1:2] - [1, 101, 61])).max(1)
    shares = shares / (20 - shares)
    count = np.count_nonzero(shares >= 0.1)
    assert count >= 4 and (shares[:count] >= 0.1).all() and (shares[:count] < 0.5).all()
    assert (np.diff(rois[4 + count :, 1]) > 0).all()
    codes = found["codes"].reshape(20, 3, 4)
    for row, label, roi, match in zip(codes[:4], labels, rois, found["match"]):
        label = int(label)
        own = OBJECTS[2 - label]
        np.testing.assert_allclose(match[:5], [label, *own[1:5]])
        np.testing.assert_allclose(row[label], [(own[1] - roi[1]) / 10, 0, 0, 0], atol=1e-12)
        assert not np.delete(row, label, 0).any()
    np.testing.assert_array_equal(found["in"] > 0, found["out"] > 0)
    assert found["weight"][:4].sum() == pytest.approx(4)
    assert found["weight"].sum() == pytest.approx(20)


def test_regions_are_made_up_where_there_are_too_few() -> None:
    found = targets(f"batch_size: 12 {SIZE}", REGIONS[:1], OBJECTS[:1])
    made = found["r"][2:]
    assert len(found["r"]) == 12 and found["label"][:2].ravel().tolist() == [2, 2]
    sides = made[:, 3:] - made[:, 1:3] + 1
    assert sides.min() >= 32 and not found["label"][2:].any() and not made[:, 0].any()


def test_objects_share_codes() -> None:
    found = targets("batch_size: -1", REGIONS[:1], OBJECTS[:1], "cls_aware: false")
    assert found["codes"].shape == (2, 8)
    np.testing.assert_allclose(found["codes"][0], [0, 0, 0, 0, 0.1, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize(
    "more, objects, word",
    [
        ("batch_size: 0", OBJECTS, "batch_size is 0"),
        ("batch_size: 8 img_width: 240", OBJECTS, "images of 240 x 0 pixels"),
        ("batch_size: -1 fg_thr: 0.3", OBJECTS, "fg_thr is below bg_thr_hg"),
        ("batch_size: -1", OBJECTS + np.array([0, 0, 0, 0, 0, 9, 0]), "an object is of class 11"),
        (
            "batch_size: 8 img_width: 33 img_height: 33",
            np.array([[0, 0, 0, 32, 32, 1, 0]]),
            "no re",
        ),
    ],
)
def test_targets_that_cannot_be(more: str, objects: np.ndarray, word: str) -> None:
    with pytest.raises(NetError, match=word):
        targets(more + " num_img_per_batch: 1", REGIONS[:1], objects)
