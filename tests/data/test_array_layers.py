"""IdxData, NumpyData and MemoryData."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import CaffeliteError, DataError

from .nets import assert_resumes, batches, layer_of, net_of

RNG = np.random.default_rng(7)
IMAGES = RNG.integers(0, 256, (10, 3, 4)).astype(np.uint8)
LABELS = np.arange(10).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """The format as its author describes it, for bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


IDX = 'type: "IdxData" idx_data_param { images: "images" labels: "labels" batch_size: 4 }'
SCALED = IDX + " transform_param { scale: 0.00390625 }"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    (tmp_path / "images").write_bytes(gzip.compress(idx(IMAGES)))
    (tmp_path / "labels").write_bytes(idx(LABELS))
    return tmp_path


def test_idx_entries_follow_one_another_and_begin_again(digits: Path) -> None:
    net = net_of(SCALED, digits)
    found = batches(net, 3)
    rows = np.arange(12) % 10
    assert np.concatenate([b["label"] for b in found]).tolist() == rows.tolist()
    images = np.concatenate([b["data"] for b in found])
    np.testing.assert_array_equal(images, IMAGES[rows][:, None] / np.float32(256))
    assert (layer_of(net).epoch_size, layer_of(net).batch_size) == (10, 4)


def test_a_range_of_the_idx_entries(digits: Path) -> None:
    net = net_of(IDX.replace("batch_size", "first: 6 count: 3 batch_size"), digits)
    assert [b["label"].tolist() for b in batches(net, 2)] == [[6, 7, 8, 6], [7, 8, 6, 7]]
    net = net_of(IDX.replace("batch_size", "first: 8 batch_size"), digits, tops=("data",))
    np.testing.assert_array_equal(batches(net, 1)[0]["data"][:2, 0], IMAGES[8:])
    assert layer_of(net).epoch_size == 2


def test_a_shuffled_epoch_holds_every_entry_once_with_its_label(digits: Path) -> None:
    net = net_of(IDX.replace("batch_size: 4", "shuffle: true batch_size: 10"), digits)
    orders = set()
    for batch in batches(net, 5):
        labels = batch["label"].astype(int)
        assert sorted(labels) == list(range(10))
        np.testing.assert_array_equal(batch["data"][:, 0], IMAGES[labels])
        orders.add(tuple(labels))
    assert len(orders) == 5


@pytest.mark.parametrize("extra", ["", "transform_param { crop_size: 2 mirror: true }"])
def test_idx_resumes(digits: Path, extra: str) -> None:
    assert_resumes(IDX.replace("batch_size", "shuffle: true batch_size") + extra, digits)


def refused(text: str, folder: Path, **kwargs: object) -> str:
    with pytest.raises(CaffeliteError) as caught:
        batches(net_of(text, folder, **kwargs), 3)
    assert "some.net:1:" in str(caught.value)
    return str(caught.value)


def test_a_snapshot_that_does_not_fit_is_refused(digits: Path) -> None:
    net = net_of(IDX, digits)
    batches(net, 2)
    short = net_of(IDX.replace("batch_size", "count: 5 batch_size"), digits)
    layer_of(short).restore(layer_of(net).state())
    with pytest.raises(DataError, match="8 samples of an epoch, but there are only 5"):
        short.forward()
    with pytest.raises(DataError, match="another net"):
        layer_of(net).restore({"at": 3})


def test_different_counts_of_images_and_labels_are_refused(digits: Path) -> None:
    (digits / "labels").write_bytes(idx(LABELS[:9]))
    text = refused(IDX, digits)
    assert "10 images" in text and "shape 9" in text


def test_images_and_labels_exchanged(digits: Path) -> None:
    turned = IDX.replace("images:", "x:").replace("labels:", "images:").replace("x:", "labels:")
    text = refused(turned, digits)
    assert '"labels" holds 10 labels, and "images" images' in text
    assert 'expected images: "images" labels: "labels"' in text and "they are exchanged" in text
    (digits / "labels").write_bytes(idx(IMAGES))
    text = refused(IDX, digits)
    assert '"labels" is a file of images, 10 x' in text and "expected a file of labels" in text
    (digits / "images").write_bytes(idx(LABELS))
    (digits / "labels").write_bytes(idx(LABELS))
    text = refused(IDX, digits)
    assert '"images" is a file of labels, 10' in text and "expected a file of images" in text


def test_damaged_idx_files_are_refused(digits: Path) -> None:
    (digits / "labels").write_bytes(idx(LABELS)[:-1])
    assert "truncated" in refused(IDX, digits)
    (digits / "images").write_bytes(gzip.compress(idx(IMAGES))[:-20])
    assert "damaged" in refused(IDX, digits)
    (digits / "images").write_bytes(b"<html>not found</html>")
    assert "not an IDX file" in refused(IDX, digits)
    (digits / "images").write_bytes(b"")
    assert "not an IDX file" in refused(IDX, digits)
    (digits / "images").unlink()
    assert 'no file of images "images"' in refused(IDX, digits)


def test_a_range_beyond_the_end_is_refused(digits: Path) -> None:
    assert "of 10" in refused(IDX.replace("batch_size", "first: 5 count: 6 batch_size"), digits)
    assert "of 10" in refused(IDX.replace("batch_size", "first: 10 batch_size"), digits)


NPZ = 'type: "NumpyData" numpy_data_param { source: "a.npz" batch_size: 4 }'
X = RNG.normal(size=(6, 5))
Y = np.arange(6)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("names", [("data", "label"), ("x", "y")])
def test_numpy_arrays_are_found_by_the_names_of_tops(
    tmp_path: Path, save: object, names: tuple[str, str]
) -> None:
    save(tmp_path / "a.npz", **dict(zip(names, (X, Y))))  # type: ignore[operator]
    net = net_of(NPZ, tmp_path, tops=names)
    first, second = batches(net, 2)
    np.testing.assert_array_equal(first[names[0]], X[:4].astype(np.float32))
    assert second[names[1]].tolist() == [4, 5, 0, 1]
    assert layer_of(net).epoch_size == 6


def test_tops_of_other_names_take_data_and_label(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=X, label=Y)
    (found,) = batches(net_of(NPZ, tmp_path, tops=("image", "class")), 1)
    np.testing.assert_array_equal(found["class"], Y[:4])


def test_a_npy_file_fills_a_single_top(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    text = NPZ.replace("npz", "npy") + "transform_param { scale: 2 mean_value: 1 }"
    (found,) = batches(net_of(text, tmp_path, tops=("x",)), 1)
    np.testing.assert_array_equal(found["x"], (IMAGES[:4] - np.float32(1)) * 2)


def test_numpy_resumes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=X, label=Y)
    assert_resumes(NPZ.replace("batch_size", "shuffle: true batch_size"), tmp_path)


def test_bad_numpy_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, data=X, lable=Y)
    text = refused(NPZ, tmp_path)
    assert '"label"' in text and "lable" in text
    np.savez(file, data=X, label=Y[:5])
    text = refused(NPZ, tmp_path)
    assert "5 rows" in text and "has 6" in text
    np.savez(file, data=np.array([{}], object), label=Y[:1])
    assert "object" in refused(NPZ, tmp_path)
    np.savez(file, data=X[:0], label=Y[:0])
    assert "no rows" in refused(NPZ, tmp_path)
    file.write_text("nothing")
    assert "not a .npz or .npy file" in refused(NPZ, tmp_path)
    np.savez(file, data=X, label=Y)
    file.write_bytes(file.read_bytes()[:-40])
    assert "a.npz" in refused(NPZ, tmp_path)


MEMORY = 'type: "MemoryData" memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 }'


def test_memory_of_any_number_of_axes() -> None:
    fields = "dim: 2 dim: 1 dim: 3 dim: 2 dim: 2"
    net = net_of(f'type: "MemoryData" memory_data_param {{ {fields} }}')
    assert [b.data.shape for b in net.blobs.values()] == [(2, 1, 3, 2, 2), (2, 1, 1, 1, 1)]
    layer_of(net).set_input_arrays(IMAGES.reshape(10, 1, 3, 2, 2), LABELS)
    second = batches(net, 2)[1]
    assert second["label"].ravel().tolist() == [2, 3]
    np.testing.assert_array_equal(second["data"].reshape(2, 3, 4), IMAGES[2:4])
    with pytest.raises(CaffeliteError, match="dim and channels are both given"):
        net_of(f'type: "MemoryData" memory_data_param {{ {fields} channels: 1 }}')


def test_memory_arrays_are_served_in_turn() -> None:
    net = net_of(MEMORY)
    with pytest.raises(DataError, match="set_input_arrays"):
        net.forward()
    layer_of(net).set_input_arrays(IMAGES[:6, None], LABELS[:6])
    found = batches(net, 4)
    assert [b["label"].tolist() for b in found] == [[0, 1], [2, 3], [4, 5], [0, 1]]
    np.testing.assert_array_equal(found[2]["data"][:, 0], IMAGES[4:6])
    assert layer_of(net).epoch_size == 6
    layer_of(net).set_input_arrays(IMAGES[8:, None], LABELS[8:].reshape(2, 1, 1, 1))
    assert batches(net, 1)[0]["label"].tolist() == [8, 9]


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (IMAGES[:3, None], LABELS[:3], "multiple of batch_size"),
        (IMAGES[:2], LABELS[:2], "but a sample is 1 x 3 x 4"),
        (IMAGES[:2, None], LABELS[:3], "2 samples and 3 labels"),
        (IMAGES[:0, None], LABELS[:0], "0 samples"),
    ],
)
def test_memory_arrays_that_do_not_fit_are_refused(
    data: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        layer_of(net_of(MEMORY)).set_input_arrays(data, labels)


def test_memory_needs_all_extents() -> None:
    assert "height" in refused(MEMORY.replace("height: 3", ""), Path())
