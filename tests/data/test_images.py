"""ImageData and FolderData, and how images are read and resized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caffelite.data.images import read_image, resize
from caffelite.errors import CaffeliteError, DataError

from .nets import assert_resumes, assert_same, batches, layer_of, net_of

RNG = np.random.default_rng(6)
RGB = RNG.integers(0, 256, (7, 4, 6, 3)).astype(np.uint8)
BGR = RGB[..., ::-1].transpose(0, 3, 1, 2)

TEXT = 'type: "ImageData" image_data_param { source: "list.txt" batch_size: 3 root_folder: "img/" }'
FOLDER = 'type: "FolderData" folder_data_param { source: "classes" batch_size: 3 shuffle: false }'


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for i, image in enumerate(RGB):
        Image.fromarray(image).save(tmp_path / "img" / f"a {i}.png")
    (tmp_path / "list.txt").write_text("".join(f"a {i}.png {i}\n" for i in range(7)))
    return tmp_path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for i, name in enumerate(["zebra", "ant", "ant", "cow"]):
        (tmp_path / "classes" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(RGB[i]).save(tmp_path / "classes" / name / f"{i}.png")
    (tmp_path / "classes" / "cow" / "notes.txt").write_text("not an image")
    return tmp_path


def test_listed_images_follow_one_another_blue_first(images: Path) -> None:
    net = net_of(TEXT, images)
    found = batches(net, 4)
    assert np.concatenate([b["label"] for b in found]).tolist() == [i % 7 for i in range(12)]
    np.testing.assert_array_equal(
        np.concatenate([b["data"] for b in found]), BGR[np.arange(12) % 7]
    )
    assert layer_of(net).epoch_size == 7


def test_the_root_folder_may_lack_its_slash(images: Path) -> None:
    assert_same(
        batches(net_of(TEXT.replace("img/", "img"), images), 1), batches(net_of(TEXT, images), 1)
    )


def test_grey_images_have_one_channel(images: Path) -> None:
    text = TEXT.replace("batch_size", "is_color: false batch_size")
    (found,) = batches(net_of(text, images), 1)
    luma = RGB[:3].astype(float) @ [0.299, 0.587, 0.114]
    assert found["data"].shape == (3, 1, 4, 6)
    np.testing.assert_allclose(found["data"][:, 0], luma, atol=0.51)


def test_shuffle_uses_each_image_once_an_epoch(images: Path) -> None:
    net = net_of(TEXT.replace("batch_size", "shuffle: true batch_size"), images)
    labels = np.concatenate([b["label"] for b in batches(net, 14)]).astype(int)
    epochs = labels.reshape(6, 7)
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 3


def test_rand_skip_begins_by_chance(images: Path) -> None:
    text = TEXT.replace("batch_size", "rand_skip: 3 batch_size")
    starts = {batches(net_of(text, images, seed=s), 1)[0]["label"][0] for s in range(30)}
    assert starts == {0, 1, 2}


@pytest.mark.parametrize("extra", ["", "transform_param { crop_size: 3 mirror: true }"])
def test_a_resumed_run_sees_the_same_images(images: Path, extra: str) -> None:
    assert_resumes(TEXT.replace("batch_size", "shuffle: true batch_size") + extra, images)


def test_new_size_resizes_every_image(images: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (9, 5, 3)).astype(np.uint8)).save(images / "img/a 1.png")
    text = TEXT.replace("batch_size", "new_height: 2 new_width: 3 batch_size")
    (found,) = batches(net_of(text, images), 1)
    halves = BGR[0].astype(float).reshape(3, 2, 2, 3, 2).mean((2, 4))
    np.testing.assert_allclose(found["data"][0], halves, atol=1)


def test_folders_are_classes_by_their_sorted_names(classes: Path) -> None:
    net = net_of(FOLDER, classes)
    assert layer_of(net).classes == ["ant", "cow", "zebra"]
    found = batches(net, 2)
    assert [int(v) for b in found for v in b["label"]] == [0, 0, 1, 2, 0, 0]
    np.testing.assert_array_equal(found[0]["data"], BGR[[1, 2, 3]])
    assert layer_of(net).epoch_size == 4


def test_folders_resume(classes: Path) -> None:
    assert_resumes(FOLDER.replace(" shuffle: false", ""), classes)


def refused(text: str, folder: Path) -> str:
    with pytest.raises(CaffeliteError) as caught:
        batches(net_of(text, folder), 3)
    return str(caught.value)


def test_a_missing_image_is_named_with_its_line(images: Path) -> None:
    (images / "img" / "a 4.png").unlink()
    text = refused(TEXT, images)
    assert '"a 4.png"' in text and "list.txt:5:1" in text


def test_an_image_of_another_size_is_named_with_both_shapes(images: Path) -> None:
    Image.fromarray(RGB[0][:, :5]).save(images / "img" / "a 2.png")
    text = refused(TEXT, images)
    assert "a 2.png" in text and "3 x 4 x 5" in text and "3 x 4 x 6" in text


def test_a_file_that_is_no_image_is_named(images: Path) -> None:
    (images / "img" / "a 3.png").write_text("text")
    assert "a 3.png" in refused(TEXT, images)
    data = (images / "img" / "a 5.png").read_bytes()
    (images / "img" / "a 3.png").write_bytes(data[:60])
    assert "a 3.png" in refused(TEXT, images)


def test_lines_that_are_not_path_and_label_are_all_shown(images: Path) -> None:
    (images / "list.txt").write_text("a 0.png 0\na.png\nb.png one\n")
    text = refused(TEXT, images)
    assert "list.txt:2:1" in text and "list.txt:3:1" in text and "list.txt:1:1" not in text


def test_one_of_two_sizes_is_refused(images: Path) -> None:
    assert "both, or none" in refused(TEXT.replace("batch_size", "new_width: 3 batch_size"), images)


def test_a_class_without_images_is_refused(classes: Path) -> None:
    (classes / "classes" / "empty").mkdir()
    assert '"empty"' in refused(FOLDER, classes)


def test_images_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match="8 bits"):
        read_image(tmp_path / "deep.png")


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The formula, pixel by pixel."""
    out = np.zeros((len(image), height, width))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * image.shape[1] / height - 0.5, 0), image.shape[1] - 1)
            u = min(max((x + 0.5) * image.shape[2] / width - 0.5, 0), image.shape[2] - 1)
            y0, x0 = int(v), int(u)
            y1, x1 = min(y0 + 1, image.shape[1] - 1), min(x0 + 1, image.shape[2] - 1)
            b, a = v - y0, u - x0
            out[:, y, x] = (1 - b) * ((1 - a) * image[:, y0, x0] + a * image[:, y0, x1]) + b * (
                (1 - a) * image[:, y1, x0] + a * image[:, y1, x1]
            )
    return out


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (3, 5), (2, 1), (1, 2), (11, 4), (1, 1)])
def test_resizing_is_bilinear_to_one_grey_level(size: tuple[int, int]) -> None:
    found = resize(BGR[0], *size)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, bilinear(BGR[0], *size), atol=1)


def test_resizing_keeps_an_even_image_even() -> None:
    even = np.full((3, 5, 5), 255, np.uint8)
    assert (resize(even, 9, 2) == 255).all()
