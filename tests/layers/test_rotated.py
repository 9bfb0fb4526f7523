"""Turned boxes: their overlaps, what a network proposes, and the features in them."""

from __future__ import annotations

import numpy as np
import pytest

from caffelite.errors import CaffeliteError
from caffelite.layers.rotated import corners, rotated_anchors, rotated_overlaps

from .one_layer import net


def test_corners_turn_against_the_clock() -> None:
    box = np.array([[10.0, 20.0, 2.0, 6.0, 90.0]])  # 6 wide: now 6 high
    np.testing.assert_allclose(corners(box)[0], [[9, 23], [9, 17], [11, 17], [11, 23]], atol=1e-9)


@pytest.mark.parametrize(
    "other, share",
    [
        ((0, 0, 2, 2, 0), 1),
        ((0, 0, 2, 2, 90), 1),
        ((1, 0, 2, 2, 0), 1 / 3),
        ((5, 0, 2, 2, 30), 0),
        ((2, 0, 2, 2, 0), 0),  # they share a side
        ((0, 0, 2, 2, 45), (2**0.5 - 1) * 8 / (8 - (2**0.5 - 1) * 8)),
        ((0, 0, 1, 1, 20), 1 / 4),
        ((0, 0, 8, 8, 70), 1 / 16),
        ((0, 0, 1, 9, 0), 2 / (4 + 9 - 2)),
        ((0, 0, 0, 0, 0), 0),
    ],
)
def test_overlaps_by_hand(other: tuple[float, ...], share: float) -> None:
    boxes = np.array([other, [0, 0, 2, 2, 0]], float)
    found = rotated_overlaps(np.array([0.0, 0.0, 2.0, 2.0, 0.0]), boxes)
    np.testing.assert_allclose(found, [share, 1], atol=1e-4)


def test_overlaps_are_those_of_many_points() -> None:
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(2, 6, (12, 4)), rng.uniform(-45, 135, (12, 1))], 1)
    points = rng.uniform(-4, 12, (40_000, 2))
    inside = []
    for x, y, h, w, angle in boxes:
        turn = np.deg2rad(angle)
        right, down = points[:, 0] - x, points[:, 1] - y
        u = np.cos(turn) * right - np.sin(turn) * down
        v = np.sin(turn) * right + np.cos(turn) * down
        inside.append((np.abs(u) < w / 2) & (np.abs(v) < h / 2))
    for i, box in enumerate(boxes):
        expected = [(inside[i] & one).sum() / (inside[i] | one).sum() for one in inside]
        np.testing.assert_allclose(rotated_overlaps(box, boxes), expected, atol=0.02)


def test_there_are_54_anchors() -> None:
    anchors = rotated_anchors([8, 16, 32])
    assert anchors.shape == (54, 5)
    assert anchors[0].tolist() == [7, 7, 7 * 8, 36 * 8, -30]
    assert anchors[-1].tolist() == [7, 7, 512, 512, 120]


def proposals(said: str) -> str:
    param = f'module: "rotation.rproposal_layer" layer: "ProposalLayer" param_str: "{said}"'
    return f'type: "Python" python_param {{ {param} }}'


def test_proposals_are_thinned_out_best_first() -> None:
    found = net(
        proposals("'feat_stride': 16, 'scales': [4]"),
        (1, 36, 1, 2),
        (1, 90, 1, 2),
        (1, 3),
        tops="ys",
    )
    scores, deltas = np.zeros((1, 36, 1, 2)), np.zeros((1, 90, 1, 2))
    scores[0, 18 + 13, 0] = 3, 2  # ratio 1, 0°, at both cells
    scores[0, 18 + 12, 0, 0] = 1  # ratio 1, −30°, at the first: 0.73 of the best one
    deltas[0, 5 * 13 : 5 * 13 + 5, 0, 1] = 0.25, 0.5, np.log(2), 0, np.pi / 2
    found.blobs["a"].data[...], found.blobs["b"].data[...] = scores, deltas
    found.blobs["c"].data[...] = [[100, 100, 3.5]]  # sides below 56 are left out
    found.forward()
    expected = [[0, 7, 7, 64, 64, 0], [0, 16 + 7 + 16, 7 + 32, 64, 128, 90]]
    np.testing.assert_allclose(found.blobs["y"].data[:2], expected, atol=1e-3)
    assert found.blobs["s"].data[:2, 0].tolist() == [3, 2]
    rest = found.blobs["y"].data[2:]
    assert all(
        (rotated_overlaps(row[1:], found.blobs["y"].data[:1, 1:]) < 0.7).all() for row in rest
    )


POOL = 'type: "RotateROIPooling" rotate_pooling_param { pooled_h: 1 pooled_w: 1 }'


@pytest.mark.parametrize(
    "layer, shapes, said",
    [
        (proposals("'scales': [8]"), [(1, 36, 1, 1), (1, 90, 1, 1), (1, 3)], "no feat_stride"),
        (
            proposals("'feat_stride': 16"),
            [(1, 90, 1, 1), (1, 225, 1, 1), (1, 3)],
            "for 3 ratios, 3 scales and 6 angles",
        ),
        (proposals("'feat_stride': 16"), [(1, 108, 1, 1), (1, 270, 1, 1), (1, 2)], "1 x 3"),
        (POOL, [(1, 1, 3, 3), (2, 5), (1, 3)], "R x 6"),
        (POOL, [(1, 3), (2, 6), (1, 3)], "N x C x H x W"),
        (POOL, [(1, 1, 3, 3), (2, 6), (1,)], "1 x 3"),
    ],
)
def test_what_is_refused(layer: str, shapes: list[tuple[int, ...]], said: str) -> None:
    with pytest.raises(CaffeliteError, match=said):
        net(layer, *shapes)


@pytest.mark.parametrize("wrong", [(1, 0, 0, 1, 1, 0), (0, np.nan, 0, 1, 1, 0)])
def test_a_region_that_cannot_be(wrong: tuple[float, ...]) -> None:
    found = net(POOL, (1, 1, 3, 3), (1, 6), (1, 3))
    found.blobs["b"].data[...] = wrong
    with pytest.raises(CaffeliteError, match="region 0 is"):
        found.forward()


def test_bins_cover_a_turned_region() -> None:
    """Each pixel of the region counts in one bin: their largest value is that of one bin alone."""
    rng = np.random.default_rng(1)
    x = rng.uniform(1, 2, (1, 2, 12, 14))
    whole = net(POOL, x.shape, (1, 6), (1, 3))
    parts = net(POOL.replace("_h: 1", "_h: 3").replace("_w: 1", "_w: 2"), x.shape, (1, 6), (1, 3))
    for found in (whole, parts):
        found.blobs["a"].data[...] = x
        found.blobs["b"].data[...] = [[0, 7, 6, 5, 8, 33]]
        found.blobs["c"].data[...] = [[12, 14, 1]]
        found.forward()
    y, z = whole.blobs["y"].data, parts.blobs["y"].data
    np.testing.assert_array_equal(y[0, :, 0, 0], z[0].max((1, 2)))
    assert (z > 0).all() and len(np.unique(z)) == 12
