"""Cascade R-CNN's proposal network: which cells count, and boxes that are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import caffelite
from caffelite.errors import NetError
from caffelite.files import parse_net

FIELDS = "cls_num: 2 field_h: 16 field_w: 16 field_h: 8 field_w: 32 stride: 8"


def net_of(more: str, classes: int = 2, fields: str = FIELDS, maps: int = 4) -> caffelite.Net:
    heads = "".join(
        f'input: "{name}" input_shape {{ dim: {maps} dim: {count} dim: 4 dim: 5 }} '
        for name, count in (("scores", classes), ("codes", 4), ("label", 6))
    )
    bottoms = 'bottom: "scores" bottom: "codes" bottom: "label"'
    return caffelite.Net(
        parse_net(
            f'force_backward: true {heads} layer {{ name: "l" type: "DetectionGroupLoss" '
            f'{bottoms} top: "l" top: "boxes" detection_group_loss_param {{ {fields} {more} }} }} '
            f'layer {{ name: "a" type: "DetectionGroupAccuracy" {bottoms} top: "a" top: "overlap" '
            f"detection_group_accuracy_param {{ {fields} }} }}",
            "m.net",
        ),
        caffelite.TRAIN,
        dtype=np.float64,
        seed=3,
    )


def labels(net: caffelite.Net) -> np.ndarray:
    """In the first image an object of 20 x 12 pixels, at a cell of each map; in the second none."""
    label = net.blobs["label"].data
    label[...] = 0
    label[0, :, 1, 2] = 1, 22, 11, 20, 12, 0.8
    label[1, :, 1, 2] = 1, 22, 11, 20, 12, 0.6
    label[0, 5, 1, 1] = 0.6
    return label


def counting(net: caffelite.Net) -> Any:
    """The cells whose scores have a gradient, of each image."""
    net.forward()
    net.backward()
    return (np.abs(net.blobs["scores"].diff).sum(1) > 0).reshape(2, -1)


def test_backgrounds_for_each_object() -> None:
    net = net_of("bg_multiple: 3 min_num_neg: 4")
    labels(net)
    cells = counting(net)
    assert cells[0].sum() == 2 + 6 and cells[1].sum() == 4
    assert cells[0].reshape(2, 4, 5)[:, 1, 2].all() and not cells[0].reshape(2, 4, 5)[0, 1, 1]
    assert not np.array_equal(cells, counting(net))  # another pass draws again


def test_a_batch_of_cells() -> None:
    net = net_of("batch_size: 8 bg_multiple: 3")
    label = labels(net)
    label[:2, 0], label[:2, 1:5], label[:2, 5] = 1, 8, 1
    label[:2, 0, :2] = 0
    label[:2, 5, :2] = 0
    label[2:, 0, 0, 0], label[2:, 1:5, 0, 0] = 1, 8
    cells = counting(net)
    objects = label[:, 0].reshape(2, -1) > 0
    # a quarter of 8, where there are more objects and where there are as many
    assert (cells & objects).sum(1).tolist() == [2, 2]
    assert cells.sum(1).tolist() == [8, 8]
    net = net_of("batch_size: 5 bg_multiple: 1")
    labels(net)[...] = label
    assert (counting(net) & objects).sum(1).tolist() == [3, 2]  # 2.5 is rounded up


@pytest.mark.parametrize("ranking", ["conf_loss", "conf_prob"])
@pytest.mark.parametrize("mining, hard", [("bootstrap", 6), ("mixture", 3)])
def test_the_hardest_backgrounds(ranking: str, mining: str, hard: int) -> None:
    net = net_of(
        f'bg_multiple: 3 min_num_neg: 4 neg_mining_type: "{mining}" neg_ranking_type: "{ranking}"'
    )
    labels(net)
    scores = net.blobs["scores"].data[:, 1]
    scores[...] = np.random.default_rng(0).permutation(80).reshape(4, 4, 5) / 40
    scores[0, 1, 1] = 99  # on the object: it does not count, however hard
    cells = counting(net)
    fit = net.blobs["label"].data[:2, 0].ravel() == 0
    fit[6] = False
    first = scores[:2].ravel()
    best = np.sort(first[fit])[-hard:]
    assert cells[0].sum() == 2 + 6
    assert set(best) <= set(first[cells[0] & fit])


def test_objects_and_backgrounds_weigh_as_if_there_were_enough() -> None:
    net = net_of("bg_multiple: 3 min_num_neg: 10 pos_neg_weighted: true")
    labels(net)
    counting(net)
    weight = np.abs(net.blobs["scores"].diff[:, 0]) * 2  # p is 1/2 everywhere
    assert weight[:2, 1, 2] == pytest.approx(1 / 8)
    # 2 + 10 cells of the first image and 10 of the second
    assert weight[2:].sum() == pytest.approx(3 / 4 * 10 / 20)


def test_maps_learn_their_object() -> None:
    net = net_of('neg_mining_type: "bootstrap" lambda: 4')
    labels(net)
    losses = []
    for _ in range(1000):
        net.forward()
        losses.append(net.blobs["l"].data.item())
        net.backward()
        for name in ("scores", "codes"):
            net.blobs[name].data[...] -= net.blobs[name].diff
    assert losses[-1] < losses[0] / 10
    net.forward()
    np.testing.assert_allclose(net.blobs["a"].data.ravel(), [1, 1])
    assert net.blobs["overlap"].data.item() > 0.98
    # the second field is 32 x 8 around (20, 12)
    wanted = [2 / 32, -1 / 8, np.log(20 / 32), np.log(12 / 8)]
    np.testing.assert_allclose(net.blobs["codes"].data[1, :, 1, 2], wanted, atol=1e-2)


def test_codes_are_held_where_both_bounds_are_given() -> None:
    found = []
    for more in ("field_whr: 2", "field_whr: 2 field_xyr: 2"):
        net = net_of(more)
        labels(net)
        net.blobs["codes"].data[...] = 4
        net.forward()
        found.append(net.blobs["boxes"].data.item())
    targets = np.array(
        [
            [2 / 16, -1 / 16, np.log(20 / 16), np.log(12 / 16)],
            [2 / 32, -1 / 8, np.log(20 / 32), np.log(12 / 8)],
        ]
    )
    held = np.array([0.5, 0.5, np.log(2), np.log(2)]) - targets
    assert found[0] == pytest.approx((4 - targets - 0.5).mean())
    costs = np.where(np.abs(held) < 1, held**2 / 2, np.abs(held) - 0.5)
    assert found[1] == pytest.approx(costs.mean())


@pytest.mark.parametrize(
    "more, word",
    [
        ("batch_size: 0", "batch_size is 0"),
        ('neg_mining_type: "all"', "random, bootstrap or mixture"),
        ('neg_ranking_type: "loss"', "conf_loss or conf_prob"),
        ('bbox_loss_type: "L1"', "Smooth_L1 or Euclidean_L2"),
        ("field_w: 9", "3 field_w, but 2 field_h"),
    ],
)
def test_refusals(more: str, word: str) -> None:
    with pytest.raises(NetError, match=word):
        net_of(more)


def test_shapes_that_are_refused() -> None:
    with pytest.raises(NetError, match="N x 2 x H x W, scores"):
        net_of("", classes=3)
    with pytest.raises(NetError, match=r"3 x 2 x 4 x 5.*2 fields"):
        net_of("", maps=3)
    with pytest.raises(NetError, match="objectness with 3"):
        net_of("objectness: true", 3, FIELDS.replace("cls_num: 2", "cls_num: 3"))
    with pytest.raises(NetError, match="stride is missing"):
        net_of("", fields=FIELDS.replace("stride: 8", ""))
