"""VideoData: frames of animated files and of folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caffelite.data.video import Frames
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.report.standin import stand_in
from caffelite.schema.common import Phase
from caffelite.schema.net import NetState

from .nets import assert_resumes, batches, net_of

RGB = np.random.default_rng(4).integers(0, 256, (7, 6, 8, 3)).astype(np.uint8)
BGR = RGB[..., ::-1].transpose(0, 3, 1, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """v.png, an animated one, and v/, its frames."""
    frames = [Image.fromarray(frame) for frame in RGB]
    frames[0].save(tmp_path / "v.png", save_all=True, append_images=frames[1:])
    (tmp_path / "v").mkdir()
    for i, frame in enumerate(frames):
        frame.save(tmp_path / "v" / f"{i:02d}.png")
    (tmp_path / "v" / "notes.txt").write_text("no frame")
    return tmp_path


def text(file: str = "v.png", batch: int = 2, more: str = "", transform: str = "") -> str:
    return (
        f'type: "VideoData" data_param {{ batch_size: {batch} }} transform_param {{ {transform} }} '
        f'video_data_param {{ video_type: VIDEO video_file: "{file}" {more} }}'
    )


@pytest.mark.parametrize("file", ["v.png", "v"])
def test_frames_follow_one_another_and_begin_again(folder: Path, file: str) -> None:
    found = batches(net_of(text(file), folder), 5)
    np.testing.assert_array_equal(
        np.concatenate([b["data"] for b in found]), BGR[[0, 1, 2, 3, 4, 5, 6, 0, 1, 2]]
    )
    assert all((b["label"] == 0).all() for b in found)


@pytest.mark.parametrize("skip, used", [(1, [1, 3, 5, 1]), (2, [2, 5, 2, 5]), (6, [6, 6, 6, 6])])
def test_frames_are_left_out_before_each(folder: Path, skip: int, used: list[int]) -> None:
    (batch,) = batches(net_of(text(batch=4, more=f"skip_frames: {skip}"), folder), 1)
    np.testing.assert_array_equal(batch["data"], BGR[used])


def test_frames_are_prepared(folder: Path) -> None:
    transform = "force_gray: true scale: 0.5 resize_param { height: 3 width: 4 } crop_size: 3"
    (batch,) = batches(net_of(text("v", transform=transform), folder, Phase.TEST), 1)
    assert batch["data"].shape == (2, 1, 3, 3)


@pytest.mark.parametrize("file", ["v.png", "v"])
def test_a_resumed_run_goes_on_with_the_next_frame(folder: Path, file: str) -> None:
    assert_resumes(text(file, transform="mirror: true crop_size: 4"), folder)


def test_a_gif_has_frames(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (5, 4), (40 * i, 0, 0)) for i in range(5)]
    frames[0].save(tmp_path / "v.gif", save_all=True, append_images=frames[1:])
    video = Frames(str(tmp_path / "v.gif"), True)
    assert video.count == 5
    reds = [int(video[i][2, 0, 0]) for i in (4, 0, 2)]
    np.testing.assert_allclose(reds, [160, 0, 80], atol=4)


@pytest.mark.parametrize(
    "layer, parts",
    [
        (text("v.mp4"), ["no video that is read here", "animated GIF", "ffmpeg", "some.net:1:"]),
        (text("nowhere"), ['no video "nowhere"']),
        (text(more="skip_frames: 7"), ["skip_frames 7 leaves none of 7 frames"]),
        (text("empty"), ["holds no images"]),
        (text(batch=0), ["batch_size"]),
        (text("damaged.gif"), ["damaged.gif"]),
        ('type: "VideoData" image_data_param { source: "list" }', ["is that of C3D's fork"]),
        ('type: "VideoData" data_param { batch_size: 1 }', ["a camera is not read here"]),
    ],
)
def test_what_is_no_video_is_refused(folder: Path, layer: str, parts: list[str]) -> None:
    (folder / "v.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(50))
    (folder / "damaged.gif").write_bytes(b"GIF89a" + bytes(40))
    (folder / "empty").mkdir()
    with pytest.raises(CaffeliteError) as caught:
        net_of(layer, folder)
    for part in parts:
        assert part in str(caught.value)


def test_damaged_videos_raise_no_foreign_exceptions(folder: Path) -> None:
    frames = [Image.new("P", (5, 4), i) for i in range(5)]
    frames[0].save(folder / "d.gif", save_all=True, append_images=frames[1:])
    good = (folder / "d.gif").read_bytes()
    rng = np.random.default_rng(6)
    outcomes = set()
    for trial in range(60):
        data = bytearray(good)
        for at in rng.integers(len(data), size=1 + trial % 4):
            data[at] = rng.integers(256)
        (folder / "d.gif").write_bytes(data[: rng.integers(1, len(data))] if trial % 3 else data)
        try:
            batches(net_of(text("d.gif"), folder), 4)
            outcomes.add("read")
        except CaffeliteError as error:
            assert "d.gif" in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_without_its_video_a_net_has_stand_in_data() -> None:
    net = parse_net(
        'layer { name: "d" type: "VideoData" top: "data" data_param { batch_size: 1 } '
        "transform_param { resize_param { height: 30 width: 40 } } "
        "video_data_param { video_type: WEBCAM device_id: 2 } }"
    )
    made: Any = stand_in(net, [NetState(phase=Phase.TEST)], {})
    assert made.layer[0].type == "DummyData"
    assert list(made.layer[0].get("dummy_data_param").shape[0].dim) == [1, 3, 30, 40]
