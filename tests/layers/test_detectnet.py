"""DetectNetTransformation: boxes follow their images, whatever is drawn."""

from __future__ import annotations

import numpy as np
import pytest

import caffelite
from caffelite.blob import Array
from caffelite.errors import NetError
from caffelite.files import parse_net
from caffelite.layers.detectnet_coverage import (
    Coverage,
    DetectNetGroundTruthParameter,
    GridboxType,
)
from caffelite.layers.detectnet_transformation import coloured

STILL = "hue_rotation_prob: 0 desaturation_prob: 0 rotation_prob: 0 "


def net_of(phase: int, augment: str) -> caffelite.Net:
    return caffelite.Net(
        parse_net(
            'input: "x" input_shape { dim: 1 dim: 3 dim: 40 dim: 60 } input: "label" '
            "input_shape { dim: 1 dim: 1 dim: 3 dim: 16 } "
            'layer { name: "d" type: "DetectNetTransformation" bottom: "x" bottom: "label" '
            'top: "y" top: "t" detectnet_groundtruth_param { stride: 4 image_size_x: 48 '
            f"image_size_y: 32 }} detectnet_augmentation_param {{ {augment} }} }}",
            "d.net",
        ),
        phase,
        dtype=np.float64,
        seed=0,
    )


def label(*boxes: tuple[float, ...]) -> Array:
    values = np.zeros((3, 16))
    values[0, :2] = len(boxes), 16
    for row, (x, y, w, h, kind) in zip(values[1:], boxes):
        row[[0, 1, 2, 3, 5]] = x, y, w, h, kind
    return values


@pytest.mark.parametrize(
    "augment",
    [
        "scale_prob: 0 flip_prob: 0 crop_prob: 1 shift_x: 20 shift_y: 10",
        "scale_prob: 0 flip_prob: 1 crop_prob: 1 shift_x: 4",
        "scale_prob: 1 scale_min: 0.5 scale_max: 1.5 flip_prob: 0.5 crop_prob: 0.5",
    ],
)
def test_boxes_go_along_with_their_images(augment: str) -> None:
    """A white box on black; the planes name its corners in what becomes of it."""
    net = net_of(caffelite.TRAIN, STILL + augment)
    net.blobs["x"].data[0, :, 12:28, 20:44] = 255
    net.blobs["label"].data[...] = label((20, 12, 24, 16, 1))
    seen = set()
    for _ in range(12):
        found = net.forward()
        white = np.argwhere(found["y"][0, 0] > 127)
        cells = np.argwhere(found["t"][0, 0])
        if not len(white) or not len(cells):
            continue
        row, column = cells[0]
        corner = np.tile([column, row], 2) * 4
        corners = found["t"][0, 1:5, row, column] + corner
        edges = [*white.min(0)[::-1], *(white.max(0)[::-1] + 1)]
        # a box is mirrored a pixel further than its image, as in the fork
        np.testing.assert_allclose(corners, edges, atol=2.1)
        seen.add(tuple(edges))
    assert len(seen) > 3


def test_test_images_are_resized() -> None:
    net = net_of(caffelite.TEST, "")
    net.blobs["x"].data[...] = 7
    net.blobs["label"].data[...] = label((0, 0, 60, 40, 1), (0, 0, 9, 9, 5))
    found = net.forward()
    np.testing.assert_allclose(found["y"], np.full((1, 3, 32, 48), 7))
    assert found["t"].shape == (1, 9, 8, 12)
    np.testing.assert_allclose(found["t"][0, 1:5, 3, 5], [-20, -12, 28, 20])


def test_hues_and_saturation() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (3, 4, 5))
    np.testing.assert_allclose(coloured(image, 0, 1), image)
    np.testing.assert_allclose(coloured(image, 360, 1), image)
    # red, the last, becomes green, and green blue
    np.testing.assert_allclose(coloured(image, 120, 1), image[[1, 2, 0]])
    np.testing.assert_allclose(coloured(image, 0, 0), np.tile(image.max(0), (3, 1, 1)))
    grey = np.full((3, 2, 2), 5.0)
    np.testing.assert_allclose(coloured(grey, 77, 0.3), grey)


def test_the_bounds_of_covered_regions() -> None:
    """A box of 40 x 8 about (20, 20); cells of 4."""
    box = np.array([[0, 16, 40, 8, 1.0]])
    covered = {}
    for kind, low, high in (
        (GridboxType.GRIDBOX_MIN, 6, 0),
        (GridboxType.GRIDBOX_MIN, 30, 0),
        (GridboxType.GRIDBOX_MAX, 0, 4),
    ):
        param = DetectNetGroundTruthParameter(
            stride=4,
            image_size_x=40,
            image_size_y=40,
            scale_cvg=0.2,
            gridbox_type=kind,
            min_cvg_len=low,
            max_cvg_len=high,
            obj_norm=True,
        )
        coverage = Coverage(param)
        planes = np.zeros(coverage.shape)
        coverage.write(box, planes)
        where = np.argwhere(planes[8])
        covered[kind, low] = (*where.min(0), *where.max(0), planes[7].max())
    # middles of 8 x 6, 30 x 8 and 4 x 1.6
    assert covered[GridboxType.GRIDBOX_MIN, 6] == pytest.approx((4, 4, 5, 5, 16 / 48))
    assert covered[GridboxType.GRIDBOX_MIN, 30] == pytest.approx((4, 1, 5, 8, 16 / 240))
    assert covered[GridboxType.GRIDBOX_MAX, 0] == pytest.approx((4, 4, 5, 5, 16 / 6.4))


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        ("", "rotation_prob is 0.33; images are not turned here"),
        ("rotation_prob: 0.1", "rotation_prob is 0.1"),
    ],
)
def test_turns_are_refused(augment: str, said: str) -> None:
    with pytest.raises(NetError, match=said):
        net_of(caffelite.TRAIN, augment)


def test_labels_of_another_form() -> None:
    net = net_of(caffelite.TEST, "")
    net.blobs["label"].data[0, 0, 0, :2] = 3, 16
    with pytest.raises(NetError, match="begin with 3, 16"):
        net.forward()
    net.blobs["label"].data[0, 0, 0, :2] = 1, 15
    with pytest.raises(NetError, match="begin with 1, 15"):
        net.forward()
