"""WindowData: windows drawn from images, warped to squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caffelite.data.windows import Cutter
from caffelite.errors import CaffeliteError
from caffelite.schema.binary import write_blob

from .nets import assert_resumes, batches, net_of

RGB = np.random.default_rng(8).integers(0, 256, (2, 8, 10, 3)).astype(np.uint8)
BGR = RGB[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)

FILE = """# 0
0.png
3 8 10
3
2 0.9 1 2 4 5
0 0.1 5 4 8 7
3 0.5 0 0 3 3
# 1
1.png
3 8 10
2
7 0.3 6 1 9 4
1 0.45 0 0 1 1
"""
TEXT = (
    'type: "WindowData" window_data_param { source: "w.txt" batch_size: 8 root_folder: "img/" '
    "bg_threshold: 0.4 } transform_param { crop_size: 4 }"
)


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for i, image in enumerate(RGB):
        Image.fromarray(image).save(tmp_path / "img" / f"{i}.png")
    (tmp_path / "w.txt").write_text(FILE)
    return tmp_path


def test_a_batch_has_its_share_of_objects_after_the_background(windows: Path) -> None:
    objects = {
        2: BGR[0, :, 2:6, 1:5].tobytes(),  # windows of 4 x 4 pixels are not changed
        3: BGR[0, :, 0:4, 0:4].tobytes(),
    }
    background = {BGR[0, :, 4:8, 5:9].tobytes(), BGR[1, :, 1:5, 6:10].tobytes()}
    seen = set()
    for batch in batches(net_of(TEXT, windows), 12):
        labels = batch["label"].astype(int).tolist()
        assert labels[:6] == [0] * 6, "a quarter of 8 are objects"
        for label, square in zip(labels, batch["data"]):
            if label:
                assert square.tobytes() == objects[label]
            else:
                assert square.tobytes() in background
            seen.add(square.tobytes())
    assert seen == {*objects.values(), *background}


def test_mirror_mean_and_scale(windows: Path) -> None:
    mean = np.random.default_rng(9).uniform(0, 255, (1, 3, 6, 6)).astype(np.float32)
    write_blob(windows / "mean", mean)
    only = FILE.replace("3 0.5 0 0 3 3", "2 0.9 1 2 4 5")
    (windows / "w.txt").write_text(only)
    text = TEXT.replace("crop_size: 4", 'crop_size: 4 mean_file: "mean" scale: 0.5 mirror: true')
    window = BGR[0, :, 2:6, 1:5]
    expected = {
        ((image - mean[0, :, 1:5, 1:5]) * np.float32(0.5)).tobytes()
        for image in (window, window[:, :, ::-1])
    }
    found = {
        row.tobytes()
        for b in batches(net_of(text, windows), 8)
        for row in b["data"][b["label"] == 2]
    }
    assert found == expected


@pytest.mark.parametrize("cache", ["", "cache_images: true"])
def test_a_resumed_run_draws_the_same_windows(windows: Path, cache: str) -> None:
    text = TEXT.replace("crop_size: 4", "crop_size: 4 mirror: true")
    assert_resumes(text.replace("batch_size", f"{cache} batch_size"), windows)


IMAGE = np.arange(80, dtype=np.uint8).reshape(1, 8, 10)


def test_context_shows_what_surrounds_the_window() -> None:
    cut = Cutter(crop=6, context=1)(IMAGE, (3, 2, 6, 5), False)
    # Grown by 6/4 about its centre (5, 4): columns 2 to 8, rows 1 to 7, as R-CNN counts. The
    # first of 6 pixels looks 1/12 into these 7, so at 12 + 1/12 + 10/12; the last at 78 - 11/12.
    assert cut.place == np.s_[:, 0:6, 0:6]
    assert cut.pixels[0, 0, 0] == 13
    assert cut.pixels[0, -1, -1] == 77


def test_what_lies_outside_the_image_stays_empty_on_the_side_where_it_is() -> None:
    box = (0, 2, 3, 5)
    left = Cutter(crop=8, context=2)(IMAGE, box, False).place[2]
    mirrored = Cutter(crop=8, context=2)(IMAGE, box, True).place[2]
    assert left.start == 2 and left.stop == 8
    assert mirrored.start == 0 and mirrored.stop == 6


def test_square_widens_the_shorter_side() -> None:
    narrow = Cutter(crop=4, square=True)(IMAGE, (4, 1, 5, 6), False)
    warped = Cutter(crop=4)(IMAGE, (4, 1, 5, 6), False)
    assert np.ptp(narrow.pixels[0, 0]) > 3 > np.ptp(warped.pixels[0, 0])


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("# 1", "* 1", ["w.txt:8:1", '"*"']),
        ("# 1", "# 2", ["w.txt:8:1", "image 2 where image 1"]),
        ("2 0.9", "2 much", ["w.txt:5:1", '"much"', "overlap"]),
        ("1 0.45 0 0 1 1\n", "", ["ends", "label"]),
        ("2 0.9 1 2 4 5", "0 0.9 1 2 4 5", ["label 0", "0.png"]),
        ("2 0.9 1 2 4 5", "2 0.9 1 2 14 5", ["0.png", "outside the image"]),
        ("0.png", "9.png", ["9.png"]),
        (FILE, "# 0 0.png 3 8 10 1 1 0.9 0 0 3 3", ["0 of background"]),
        (FILE, "", ["is empty"]),
    ],
)
def test_a_bad_window_file_is_refused(windows: Path, old: str, new: str, parts: list[str]) -> None:
    (windows / "w.txt").write_text(FILE.replace(old, new))
    with pytest.raises(CaffeliteError) as caught:
        batches(net_of(TEXT, windows), 8)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("crop_size: 4", "", "crop_size"),
        ("batch_size", "context_pad: 2 batch_size", "context_pad"),
        ("batch_size", 'crop_mode: "wrap" batch_size', "crop_mode"),
    ],
)
def test_bad_parameters_are_refused(windows: Path, old: str, new: str, part: str) -> None:
    with pytest.raises(CaffeliteError, match=part):
        net_of(TEXT.replace(old, new), windows)
