"""Data: Datum records in LMDB databases that are written here with the protobuf wire format."""

from __future__ import annotations

import io
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from caffelite.data.writer import DatabaseWriter
from caffelite.errors import CaffeliteError, DataError
from caffelite.schema.binary import encode, write_blob
from caffelite.schema.common import Phase
from caffelite.schema.datum import Datum

from .nets import assert_resumes, assert_same, batches, layer_of, net_of

RNG = np.random.default_rng(4)
IMAGES = RNG.integers(0, 256, (10, 3, 4, 5)).astype(np.uint8)


def datum(image: np.ndarray, label: int) -> Datum:
    c, h, w = image.shape
    return Datum(channels=c, height=h, width=w, data=image.tobytes(), label=label)


def png(image: np.ndarray, label: int = 0, mode: str = "RGB") -> Datum:
    """A Datum that holds a PNG file; `image` is (H, W[, C]) in the order R, G, B."""
    file = io.BytesIO()
    Image.fromarray(image, mode).save(file, "PNG")
    return Datum(data=file.getvalue(), label=label, encoded=True)


def write(folder: Path, records: list[Datum | bytes], name: str = "db") -> None:
    env = lmdb.open(str(folder / name), map_size=1 << 22)
    with env.begin(write=True) as transaction:
        for i, record in enumerate(records):
            value = record if isinstance(record, bytes) else encode(record)
            transaction.put(f"{i:08d}".encode(), value)
    env.close()


TEXT = 'type: "Data" data_param { source: "db" backend: LMDB batch_size: 4 }'


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    write(tmp_path, [datum(image, i) for i, image in enumerate(IMAGES)])
    return tmp_path


def test_records_come_in_order_and_begin_again_within_a_batch(digits: Path) -> None:
    net = net_of(TEXT, digits)
    found = batches(net, 4)
    assert np.concatenate([b["label"] for b in found]).tolist() == [i % 10 for i in range(16)]
    images = np.concatenate([b["data"] for b in found])
    np.testing.assert_array_equal(images, IMAGES[np.arange(16) % 10].astype(np.float32))
    assert (layer_of(net).epoch_size, layer_of(net).batch_size) == (10, 4)


def test_labels_may_be_left_out(digits: Path) -> None:
    assert list(net_of(TEXT, digits, tops=("data",)).forward()) == ["data"]


def test_two_nets_may_read_one_database(digits: Path) -> None:
    one, two = net_of(TEXT, digits), net_of(TEXT, digits, Phase.TEST)
    assert_same(batches(one, 3), batches(two, 3))


def test_floats_and_a_mean_file(tmp_path: Path) -> None:
    values = RNG.normal(size=(2, 1, 2, 3)).astype(np.float32)
    mean = RNG.normal(size=(1, 1, 2, 3)).astype(np.float32)
    write(
        tmp_path,
        [
            Datum(channels=1, height=2, width=3, float_data=v.ravel().tolist(), label=7)
            for v in values
        ],
    )
    write_blob(tmp_path / "mean.binaryproto", mean)
    text = TEXT.replace("4", "2") + 'transform_param { mean_file: "mean.binaryproto" scale: 2 }'
    (found,) = batches(net_of(text, tmp_path), 1)
    np.testing.assert_allclose(found["data"], (values - mean) * 2, rtol=1e-6)


def test_encoded_images_are_decoded_blue_first(tmp_path: Path) -> None:
    rgb = RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    write(tmp_path, [png(rgb, 3)])
    text = TEXT.replace("batch_size: 4", "batch_size: 1")
    (found,) = batches(net_of(text, tmp_path), 1)
    np.testing.assert_array_equal(found["data"][0], rgb[:, :, ::-1].transpose(2, 0, 1))
    assert found["label"] == 3


def test_force_gray_and_force_color_say_how_to_decode(tmp_path: Path) -> None:
    grey = RNG.integers(0, 256, (5, 6)).astype(np.uint8)
    write(tmp_path, [png(grey, mode="L"), png(np.repeat(grey[..., None], 3, 2))])
    with pytest.raises(DataError, match=r'record "00000001".* is 3 x 5 x 6.* are 1 x 5 x 6'):
        batches(net_of(TEXT, tmp_path), 1)
    for force, channels in (("force_gray", 1), ("force_color", 3)):
        (found,) = batches(net_of(f"{TEXT} transform_param {{ {force}: true }}", tmp_path), 1)
        assert found["data"].shape == (4, channels, 5, 6)
        np.testing.assert_array_equal(found["data"], np.broadcast_to(grey, (4, channels, 5, 6)))


@pytest.mark.parametrize("transform", ["", "transform_param { crop_size: 3 mirror: true }"])
def test_a_resumed_run_sees_the_same_records_crops_and_flips(digits: Path, transform: str) -> None:
    assert_resumes(f"{TEXT} {transform}", digits)


def test_a_seed_repeats_crops_and_flips(digits: Path) -> None:
    text = TEXT + "transform_param { crop_size: 2 mirror: true }"
    assert_same(batches(net_of(text, digits), 5), batches(net_of(text, digits), 5))
    other = batches(net_of(text, digits, seed=2), 5)
    assert any(
        (a["data"] != b["data"]).any() for a, b in zip(batches(net_of(text, digits), 5), other)
    )


def test_crop_size_allows_images_of_several_sizes(tmp_path: Path) -> None:
    big = RNG.integers(0, 256, (3, 6, 9)).astype(np.uint8)
    write(tmp_path, [datum(IMAGES[0], 0), datum(big, 1)])
    text = TEXT + "transform_param { crop_size: 4 }"
    (found,) = batches(net_of(text, tmp_path, Phase.TEST), 1)
    np.testing.assert_array_equal(found["data"][1], big[:, 1:5, 2:6])


def test_rand_skip_begins_at_a_record_by_chance(digits: Path) -> None:
    text = TEXT.replace("batch_size: 4", "batch_size: 4 rand_skip: 8")
    starts = {batches(net_of(text, digits, seed=s), 1)[0]["label"][0] for s in range(60)}
    assert starts == set(range(8))


def refused(text: str, folder: Path) -> str:
    with pytest.raises(CaffeliteError) as caught:
        batches(net_of(text, folder), 3)
    assert "some.net:1:" in str(caught.value)
    return str(caught.value)


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    assert 'there is no database "db"' in refused(TEXT, tmp_path)


def test_an_empty_database_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert "is empty" in refused(TEXT, tmp_path)


def test_a_folder_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    assert "data.mdb" in refused(TEXT, tmp_path)
    (tmp_path / "db" / "data.mdb").write_bytes(b"hello" * 5000)
    assert "not an LMDB database" in refused(TEXT, tmp_path)


def test_a_truncated_database_is_refused(digits: Path) -> None:
    file = digits / "db" / "data.mdb"
    with open(file, "r+b") as f:
        f.truncate(file.stat().st_size - 4096)
    assert "truncated" in refused(TEXT, digits)


def test_leveldb_is_refused_with_what_to_do(digits: Path) -> None:
    text = refused(TEXT.replace("LMDB", "LEVELDB"), digits)
    assert "convert_imageset" in text and "some.net:1:" in text
    (digits / "old").mkdir()
    (digits / "old" / "CURRENT").touch()
    assert "LevelDB" in refused(TEXT.replace('"db"', '"old"'), digits)


def test_a_record_of_another_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    write(tmp_path, [datum(IMAGES[0], 0), datum(IMAGES[1][:, :2], 1)])
    text = refused(TEXT, tmp_path)
    assert '"00000001"' in text and "3 x 2 x 5" in text and "3 x 4 x 5" in text


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    write(tmp_path, [datum(IMAGES[0], 0), b"\xff\xff\xff"])
    assert 'record "00000001"' in refused(TEXT, tmp_path)
    short = datum(IMAGES[0], 0)
    short.data = short.data[:-1]
    write(tmp_path, [short], "short")
    assert "holds 59 values" in refused(TEXT.replace('"db"', '"short"'), tmp_path)


def test_batch_size_is_needed(digits: Path) -> None:
    assert "batch_size" in refused(TEXT.replace("batch_size: 4", ""), digits)


def test_a_missing_package_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(DataError, match=r'lmdb(.|\n)*pip install "caffelite\[data\]"'):
        DatabaseWriter(str(tmp_path / "db"))
