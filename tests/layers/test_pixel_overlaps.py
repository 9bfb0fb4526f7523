"""DetectionEvaluate with name_size_file: overlaps in pixels of the images as they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffelite import Net
from caffelite.data.namesize import Named, in_pixels, pixel_overlap
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.schema.augment import ResizeParameter
from caffelite.schema.common import Phase


def test_overlaps_count_whole_pixels() -> None:
    # 11 x 6 pixels, of which 6 x 6 are common with 11 x 6 others: 36 / (66 + 66 − 36)
    found = pixel_overlap(
        np.array([0.0, 0.0, 10.0, 5.0]),
        np.array([[5.0, 0.0, 15.0, 5.0], [10.0, 5.0, 12.0, 6.0], [11.0, 0.0, 12.0, 5.0]]),
    )
    np.testing.assert_allclose(found, [36 / 96, 1 / (66 + 6 - 1), 0])


@pytest.mark.parametrize(
    "resize, expected",
    [
        (None, [[0, 10, 40, 20], [10, 5, 30, 15]]),
        ({"resize_mode": "WARP", "height": 3, "width": 3}, [[0, 10, 40, 20], [10, 5, 30, 15]]),
        # the image has the middle half of the rows: 0.5 is its middle, 1 and 0.75 its end
        (
            {"resize_mode": "FIT_LARGE_SIZE_AND_PAD", "height": 8, "width": 8},
            [[0, 10, 40, 20], [10, 0, 30, 20]],
        ),
        (
            {"resize_mode": "FIT_SMALL_SIZE", "height": 8, "width": 8},
            [[0, 10, 40, 20], [10, 5, 30, 15]],
        ),
        (
            {"resize_mode": "FIT_SMALL_SIZE", "height": 8, "width": 8, "height_scale": 10,
             "width_scale": 100},
            [[0, 5, 40, 12.5], [25, 2.5, 40, 7.5]],
        ),
    ],
)  # fmt: skip
def test_boxes_in_pixels(resize: dict[str, Any] | None, expected: list[list[float]]) -> None:
    boxes = np.array([[-0.25, 0.5, 1.0, 1.25], [0.25, 0.25, 0.75, 0.75]])
    param = ResizeParameter(**resize) if resize else None
    np.testing.assert_allclose(in_pixels(boxes, Named("a", 20, 40), param), expected)


TEXT = """
layer { name: "in" type: "Input" top: "d" top: "o" input_param {
  shape { dim: 1 dim: 1 dim: 2 dim: 7 } shape { dim: 1 dim: 1 dim: 2 dim: 8 } } }
layer { name: "e" type: "DetectionEvaluate" bottom: "d" bottom: "o" top: "y"
  detection_evaluate_param { num_classes: 2 overlap_threshold: %g %s } }
"""


def net(folder: Path, threshold: float, more: str = 'name_size_file: "sizes"') -> Net:
    made = Net(parse_net(TEXT % (threshold, more), "some.net"), Phase.TEST, folder=str(folder))
    made.blobs["d"].data[...] = [[[[0, 1, 0.9, 0, 0, 0.5, 0.5], [1, 1, 0.8, 0, 0, 0.5, 0.5]]]]
    made.blobs["o"].data[...] = [[[[0, 1, 0, 0, 0, 1, 0.5, 0], [1, 1, 0, 0, 0, 1, 0.5, 0]]]]
    return made


def right(made: Net) -> list[float]:
    """Which of the two detections are right."""
    made.forward()
    return made.blobs["y"].data[0, 0, 1:, 3].tolist()


def test_images_take_their_sizes_in_order(tmp_path: Path) -> None:
    (tmp_path / "sizes").write_text("a 2 2\nb 100 100\nc 2 2\n")
    # in parts of the image both overlap by 0.5; in pixels (1 + 1)/(2 + 1) = 0.667 in a and c, in b
    # 51/101 = 0.505
    assert right(net(tmp_path, 0.55, "")) == [0, 0]
    counted = net(tmp_path, 0.55)
    assert right(counted) == [1, 0]  # a b
    assert right(counted) == [1, 1]  # c a
    assert right(counted) == [0, 1]  # b c
    assert right(counted) == [1, 0]


def test_a_place_in_the_file_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "sizes").write_text("a 2 2\nb 100 100\nc 2 2\n")
    first = net(tmp_path, 0.55)
    right(first)
    second = net(tmp_path, 0.55)
    second.layers[1].restore(first.layers[1].state())
    assert right(second) == [1, 1]
    assert net(tmp_path, 0.55, "").layers[1].state() == {}


@pytest.mark.parametrize(
    "text, parts",
    [
        ("a 2 2\nb 2\n", ["sizes:2:1", "not a name and a size"]),
        ("a 0 2\n", ["sizes:1:1"]),
        ("a 2 x\n", ["sizes:1:1"]),
        ("", ["is empty"]),
        (None, ['"sizes"', "some.net:5:"]),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str | None, parts: list[str]) -> None:
    if text is not None:
        (tmp_path / "sizes").write_text(text)
    with pytest.raises(CaffeliteError) as caught:
        net(tmp_path, 0.5)
    for part in parts:
        assert part in str(caught.value)
    with pytest.raises(CaffeliteError, match="height 5 and width 0"):
        net(tmp_path, 0.5, "resize_param { height: 5 }")


def test_names_may_have_blanks(tmp_path: Path) -> None:
    (tmp_path / "sizes").write_text("a picture 2 2\n")
    assert right(net(tmp_path, 0.55)) == [1, 1]


def test_a_new_process_reads_such_a_net(tmp_path: Path) -> None:
    (tmp_path / "sizes").write_text("a 2 2\n")
    (tmp_path / "n.net").write_text(TEXT % (0.5, 'name_size_file: "sizes"'))
    done = subprocess.run(
        [sys.executable, "-m", "caffelite", "check", "n.net"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stderr
