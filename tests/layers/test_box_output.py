"""BoxOutput against its docstring, computed box by box."""

from __future__ import annotations

import math

import numpy as np
import pytest

from caffelite import TEST, Net
from caffelite.files import parse_net

FIELDS = "field_h: 24 field_w: 40 downsample_rate: 8 min_size: 5 fg_thr: -0.5 iou_thr: 0.27"
CLASSES, HEIGHT, WIDTH, RATE = 3, 5, 6, 8


def regions(values: np.ndarray, more: str) -> np.ndarray:
    dims = " ".join(f"dim: {n}" for n in values.shape)
    text = (
        f'layer {{ name: "in" type: "Input" top: "map" input_param {{ shape {{ {dims} }} }} }}'
        'layer { name: "out" type: "BoxOutput" bottom: "map" top: "rois" top: "scored" '
        f"box_output_param {{ {FIELDS} {more} }} }}"
    )
    net = Net(parse_net(text, "f.net"), TEST, dtype=np.float64)
    net.blobs["map"].data[...] = values
    net.forward()
    scored = net.blobs["scored"].data[:, :, 0, 0]
    np.testing.assert_array_equal(net.blobs["rois"].data[:, :, 0, 0], scored[:, :5])
    return scored.copy()


def expected(values: np.ndarray, kind: str, looked_at: int = 0, most: int = 0) -> list[list[float]]:
    found = []
    for image, maps in enumerate(values):
        boxes = []
        for i in range(HEIGHT):
            for j in range(WIDTH):
                tx, ty, tw, th = maps[CLASSES:, i, j]
                w = 40 * min(max(math.exp(tw), 0.5), 2)
                h = 24 * min(max(math.exp(th), 0.5), 2)
                x = 40 * min(max(tx, -0.5), 0.5) + (j + 0.5) * RATE - w / 2
                y = 24 * min(max(ty, -0.5), 0.5) + (i + 0.5) * RATE - h / 2
                x, y = max(x, 0), max(y, 0)
                right, below = min(x + w, WIDTH * RATE), min(y + h, HEIGHT * RATE)
                score = max(maps[1:CLASSES, i, j]) - maps[0, i, j]
                if score >= -0.5 and right - x >= 5 and below - y >= 5:
                    boxes.append([image, x, y, right, below, score])
        boxes.sort(key=lambda box: -box[5])
        kept: list[list[float]] = []
        for box in boxes[: looked_at or None]:
            if all(overlap(box, better, kind) <= 0.27 for better in kept):
                kept.append(box)
        found += kept[: most or None]
    return found


def overlap(a: list[float], b: list[float], kind: str) -> float:
    width, height = min(a[3], b[3]) - max(a[1], b[1]), min(a[4], b[4]) - max(a[2], b[2])
    both = max(width, 0) * max(height, 0)
    one, other = ((c[3] - c[1]) * (c[4] - c[2]) for c in (a, b))
    whole = {"IOU": one + other - both, "IOFMAX": max(one, other), "IOFMIN": min(one, other)}
    return both / whole[kind]


def maps() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2, CLASSES + 4, HEIGHT, WIDTH))


@pytest.mark.parametrize("kind", ["IOU", "IOFMAX", "IOFMIN"])
def test_the_best_boxes_are_kept_that_no_better_one_covers(kind: str) -> None:
    want = expected(maps(), kind)
    assert 4 < len(want) < 40
    np.testing.assert_allclose(regions(maps(), f'nms_type: "{kind}"'), want, rtol=1e-12)


def test_so_many_are_looked_at_and_kept() -> None:
    found = regions(maps(), "max_nms_num: 12 max_post_nms_num: 3")
    np.testing.assert_allclose(found, expected(maps(), "IOU", 12, 3), rtol=1e-12)
    found = regions(maps(), "max_nms_num: 4")
    np.testing.assert_allclose(found, expected(maps(), "IOU", 4), rtol=1e-12)
