"""`caffelite convert-images`: what goes in comes out of a Data layer, and bad lines are shown."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from caffelite import Net
from caffelite.cli import main
from caffelite.data.images import resize
from caffelite.data.writer import DatabaseWriter
from caffelite.errors import DataError
from caffelite.files import parse_net
from caffelite.schema.binary import decode
from caffelite.schema.common import Phase
from caffelite.schema.datum import Datum

RGB = np.random.default_rng(3).integers(0, 256, (6, 8, 5, 3)).astype(np.uint8)
BGR = RGB[..., ::-1].transpose(0, 3, 1, 2)
LABELS = [4, 0, 2, 2, 7, 1]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """list.txt and the images img/a 0.png … in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("img").mkdir()
    for i, image in enumerate(RGB):
        Image.fromarray(image).save(f"img/a {i}.png")
    lines = [f"a {i}.png {label}\n" for i, label in enumerate(LABELS)]
    Path("list.txt").write_text("".join(lines))
    return tmp_path


def convert(*flags: str, source: str = "list.txt", target: str = "db") -> int:
    return main(["convert-images", source, target, "--root", "img/", *flags])


def records(path: str = "db") -> dict[str, Datum]:
    with lmdb.open(path, readonly=True, lock=False) as env, env.begin() as transaction:
        return {key.decode(): decode(value, Datum) for key, value in transaction.cursor()}


def through_layer(path: str = "db", count: int = 6) -> tuple[np.ndarray, list[float]]:
    text = (
        f'layer {{ name: "d" type: "Data" top: "data" top: "label" data_param {{ source: "{path}" '
        f"backend: LMDB batch_size: {count} }} }}"
    )
    out = Net(parse_net(text), phase=Phase.TEST).forward()
    return out["data"], out["label"].tolist()


def test_a_data_layer_reads_the_pixels_blue_first(listed: Path, capsys: Capture) -> None:
    assert convert() == 0
    assert capsys.readouterr().out == "db: 6 images of 3 x 8 x 5\n"
    data, labels = through_layer()
    np.testing.assert_array_equal(data, BGR)
    assert labels == LABELS


def test_records_are_as_caffe_writes_them(listed: Path) -> None:
    convert()
    found = records()
    assert list(found) == [f"{i:08d}_a {i}.png" for i in range(6)]
    assert found["00000001_a 1.png"] == Datum(
        channels=3, height=8, width=5, data=BGR[1].tobytes(), label=0, encoded=False
    )
    assert [p.name for p in Path("db").iterdir()] == ["data.mdb"]


def test_grey_and_resized(listed: Path) -> None:
    assert convert("--gray", "-resize_height", "4", "--resize_width=7") == 0
    grey = [np.asarray(Image.fromarray(image).convert("L"))[None] for image in RGB]
    data, _ = through_layer()
    np.testing.assert_array_equal(data, [resize(image, 4, 7) for image in grey])
    with Image.open("img/a 0.png") as image:
        assert image.size == (5, 8)


def test_one_extent_alone_is_refused(listed: Path, capsys: Capture) -> None:
    assert convert("--resize-height", "4") == 1
    assert "both" in capsys.readouterr().err


def test_a_shuffle_is_a_permutation_and_its_seed_repeats_it(listed: Path) -> None:
    for target, seed in [("a", "5"), ("b", "5"), ("c", "6")]:
        convert("--shuffle", "--seed", seed, target=target)
    (data, labels), (again, _), (other, _) = map(through_layer, "abc")
    np.testing.assert_array_equal(data, again)
    assert not np.array_equal(data, other)
    assert not np.array_equal(data, BGR)
    order = [next(j for j in range(6) if np.array_equal(x, BGR[j])) for x in data]
    assert sorted(order) == list(range(6))
    assert labels == [LABELS[j] for j in order]
    assert list(records("a")) == [f"{i:08d}_a {j}.png" for i, j in enumerate(order)]


def test_encoded_keeps_the_files_as_they_are(listed: Path) -> None:
    assert convert("--encoded") == 0
    for key, datum in records().items():
        assert datum.encoded
        assert datum.data == Path("img", key[9:]).read_bytes()
    np.testing.assert_array_equal(through_layer()[0], BGR)


def test_encoded_files_that_must_change_are_compressed_anew(listed: Path) -> None:
    assert convert("--encoded", "--gray") == 0
    data, _ = through_layer()
    grey = [np.asarray(Image.fromarray(image).convert("L"))[None] for image in RGB]
    np.testing.assert_array_equal(data, grey)
    flat = np.full((8, 5, 3), (250, 20, 60), np.uint8)  # JPEG keeps what has no detail
    Image.fromarray(flat).save("img/a 5.png")
    assert convert("-encode_type", "jpg", target="jpg") == 0
    stored = records("jpg")["00000005_a 5.png"].data
    assert Image.open(io.BytesIO(stored)).format == "JPEG"
    found = through_layer("jpg")[0][5]
    np.testing.assert_allclose(found, flat[..., ::-1].transpose(2, 0, 1), atol=3)
    Image.fromarray(RGB[5]).save("img/a 5.png")
    assert convert("--encode-type", "bmp", "--resize-height=3", "--resize-width=3", target="b") == 0
    np.testing.assert_array_equal(through_layer("b")[0], [resize(image, 3, 3) for image in BGR])


def test_bad_images_are_all_shown_and_nothing_is_written(listed: Path, capsys: Capture) -> None:
    Path("img/a 1.png").unlink()
    Path("img/a 4.png").unlink()
    assert convert() == 1
    said = capsys.readouterr().err
    assert 'list.txt:2:1: there is no image "a 1.png" in "img/"' in said
    assert "| ^~~~~~~\n" in said
    assert "list.txt:5:1:" in said
    assert "--skip-bad" in said
    assert said.endswith("\n2 mistakes\n")
    Path("img/a 1.png").write_bytes(b"no image")
    Path("img/a 4.png").write_bytes(Path("img/a 0.png").read_bytes()[:60])
    assert convert() == 1
    said = capsys.readouterr().err
    assert "list.txt:2:1: " in said
    assert "list.txt:5:1: " in said
    assert sorted(p.name for p in listed.iterdir()) == ["img", "list.txt"]


def test_skip_bad_leaves_them_out_and_keeps_the_others_keys(listed: Path, capsys: Capture) -> None:
    Path("img/a 1.png").unlink()
    Path("img/a 4.png").write_bytes(b"no image")
    assert convert("--skip-bad") == 0
    said = capsys.readouterr()
    assert "2 images left out" in said.err
    assert "list.txt:5:1" in said.err
    assert said.out == "db: 4 images of 3 x 8 x 5\n"
    assert [int(key[:8]) for key in records()] == [0, 2, 3, 5]
    assert through_layer(count=4)[1] == [4, 2, 2, 1]


def test_many_mistakes_are_counted_after_twenty(listed: Path, capsys: Capture) -> None:
    Path("many.txt").write_text("".join(f"x{i}.png 0\n" for i in range(30)))
    assert convert(source="many.txt") == 1
    said = capsys.readouterr().err
    assert "many.txt:20:1:" in said
    assert "many.txt:21:1:" not in said
    assert "and 10 more" in said
    assert convert("--skip-bad", source="many.txt") == 1
    assert "no image is left" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["cat", "1.5", "", "99999999999"])
def test_labels_are_whole_numbers(label: str, listed: Path, capsys: Capture) -> None:
    Path("list.txt").write_text(f"a 0.png 3\na.png {label}\n")
    assert convert() == 1
    assert "list.txt:2:1:" in capsys.readouterr().err
    assert not Path("db").exists()


def test_sizes_that_differ_are_told_or_refused(listed: Path, capsys: Capture) -> None:
    Image.fromarray(RGB[0, :4]).save("img/a 3.png")
    assert convert("--check-size") == 1
    said = capsys.readouterr().err
    assert "list.txt:4:1: the image is 3 x 4 x 5" in said
    assert "expected 3 x 8 x 5" in said
    assert convert() == 0
    said = capsys.readouterr()
    assert "6 images of 2 sizes" in said.out
    assert "differ in size" in said.err


def test_what_is_there_is_not_touched(listed: Path, capsys: Capture) -> None:
    Path("db").mkdir()
    Path("db/precious").touch()
    assert convert() == 1
    assert "is there already" in capsys.readouterr().err
    assert [p.name for p in Path("db").iterdir()] == ["precious"]


def test_the_map_grows_as_records_come(tmp_path: Path) -> None:
    with DatabaseWriter(str(tmp_path / "db"), map_size=1 << 16) as out:
        for i in range(2500):
            out.put(b"%08d" % i, Datum(data=b"x" * 400, label=i))
    found = records(str(tmp_path / "db"))
    assert [datum.label for datum in found.values()] == list(range(2500))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_on_the_way_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), DatabaseWriter(str(tmp_path / "db")) as out:
        out.put(b"a", Datum(data=b"x", label=1))
        raise error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"), DatabaseWriter(f"{tmp_path}/no/db"):
        pass


@pytest.mark.parametrize("package", ["PIL.Image", "lmdb"])
def test_a_missing_package_is_named_with_the_extra(
    package: str, listed: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert convert() == 1
    said = capsys.readouterr().err
    assert 'pip install "caffelite[data]"' in said
    assert "list.txt" not in said
