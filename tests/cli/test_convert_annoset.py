"""`caffelite convert-annoset`: what goes in comes out of an AnnotatedData layer, and bad files are
shown."""

from __future__ import annotations

import json
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from caffelite import Net
from caffelite.cli import main
from caffelite.data.annotations import read_annotation
from caffelite.data.images import resize
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.schema.annotated import AnnotatedDatum
from caffelite.schema.binary import decode, read_blob
from caffelite.schema.common import Phase

RGB = np.random.default_rng(3).integers(0, 256, (3, 20, 40, 3)).astype(np.uint8)
BGR = RGB[..., ::-1].transpose(0, 3, 1, 2)
Capture = pytest.CaptureFixture[str]

MAP = """
item { name: "none_of_the_above" label: 0 display_name: "background" }
item { name: "cat" label: 1 display_name: "Cat" }
item { name: "dog" label: 2 display_name: "Dog" }
"""
XML = """<annotation>
  <filename>0.png</filename>
  <size><width>40</width><height>20</height><depth>3</depth></size>
  <object><name>dog</name><difficult>1</difficult>
    <bndbox><xmin>4</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object>
  <object><name>cat</name>
    <bndbox><xmin>0</xmin><ymin>0</ymin><xmax>10.5</xmax><ymax>10</ymax></bndbox></object>
  <object><name>dog</name><difficult>0</difficult>
    <part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>
    <bndbox><xmin>30</xmin><ymin>10</ymin><xmax>40</xmax><ymax>15</ymax></bndbox></object>
</annotation>
"""
JSON = {
    "image": {"height": 20, "width": 40, "file_name": "1.png"},
    "annotation": [
        {"category_id": "cat", "bbox": [10.0, 5.0, 20.0, 10.0], "iscrowd": 0},
        {"category_id": "dog", "bbox": [0, 0, 4, 4], "iscrowd": 1},
    ],
}
TXT = "2 8 5 16 10\n\n1 0 0 40 20\n2 4.5 5 9 10\n"
ROWS = [
    [0, 2, 0, 0.1, 0.25, 0.5, 1.0, 1],
    [0, 2, 1, 0.75, 0.5, 1.0, 0.75, 0],
    [0, 1, 0, 0.0, 0.0, 0.2625, 0.5, 0],
    [1, 1, 0, 0.25, 0.25, 0.75, 0.75, 0],
    [1, 2, 0, 0.0, 0.0, 0.1, 0.2, 1],
    [2, 2, 0, 0.2, 0.25, 0.4, 0.5, 0],
    [2, 2, 1, 0.1125, 0.25, 0.225, 0.5, 0],
    [2, 1, 0, 0.0, 0.0, 1.0, 1.0, 0],
]
"""Groups come in the order of their first object."""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """list.txt, map, and in data/ the images 0.png … and their annotations, one of each kind."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    for i, image in enumerate(RGB):
        Image.fromarray(image).save(data / f"{i}.png")
    (data / "0.xml").write_text(XML)
    (data / "1.json").write_text(json.dumps(JSON))
    (data / "2.txt").write_text(TXT)
    Path("list.txt").write_text("0.png 0.xml\n1.png 1.json\n2.png 2.txt\n")
    Path("map").write_text(MAP)
    return tmp_path


def convert(*flags: str, labels: bool = True) -> int:
    more = ["--label-map", "map"] if labels else []
    return main(["convert-annoset", "list.txt", "db", "--root", "data/", *more, *flags])


def records(path: str = "db") -> dict[str, AnnotatedDatum]:
    with lmdb.open(path, readonly=True, lock=False) as env, env.begin() as transaction:
        return {key.decode(): decode(value, AnnotatedDatum) for key, value in transaction.cursor()}


def through_layer(count: int = 3, transform: str = "") -> tuple[np.ndarray, np.ndarray]:
    text = (
        'layer { name: "d" type: "AnnotatedData" top: "data" top: "label" '
        f'data_param {{ source: "db" '
        f"backend: LMDB batch_size: {count} }} transform_param {{ {transform} }} }}"
    )
    out = Net(parse_net(text), phase=Phase.TEST).forward()
    return out["data"], out["label"][0, 0]


def test_a_layer_reads_images_and_boxes(listed: Path, capsys: Capture) -> None:
    assert convert() == 0
    said = capsys.readouterr()
    assert said.out == "db: 3 images of 3 x 20 x 40, 8 boxes of 2 classes\n"
    assert said.err == ""
    data, rows = through_layer()
    np.testing.assert_array_equal(data, BGR)
    np.testing.assert_allclose(rows, ROWS, rtol=1e-6)
    assert list(records()) == ["00000000_0.png", "00000001_1.png", "00000002_2.png"]
    first = records()["00000000_0.png"]
    assert first.has("type") and first.datum.label == -1


def test_their_mean_is_computed(listed: Path) -> None:
    assert convert() == 0
    assert main(["compute-mean", "db", "mean"]) == 0
    np.testing.assert_allclose(read_blob("mean")[0], BGR.mean(axis=0), rtol=1e-6)


def test_files_are_kept_as_they_are(listed: Path) -> None:
    assert convert("--encoded") == 0
    found = [record.datum for record in records().values()]
    assert [d.data for d in found] == [Path(f"data/{i}.png").read_bytes() for i in range(3)]
    assert all(d.encoded for d in found)
    np.testing.assert_allclose(through_layer()[1], ROWS, rtol=1e-6)


def test_boxes_are_in_parts_of_the_image_whatever_its_size(listed: Path) -> None:
    assert convert("--resize-height", "8", "--resize-width", "9", "--gray") == 0
    data, rows = through_layer()
    assert data.shape == (3, 1, 8, 9)
    np.testing.assert_allclose(rows, ROWS, rtol=1e-6)


@pytest.mark.parametrize(
    "flags, size",
    [
        (["--min-dim", "30"], (30, 60)),
        (["--min-dim", "30", "--max-dim", "50"], (25, 50)),
        (["--max-dim", "20"], (10, 20)),
        (["--min-dim", "10", "--max-dim", "100"], (20, 40)),
    ],
)
def test_sides_are_bounded_in_proportion(listed: Path, flags: list[str], size: object) -> None:
    assert convert(*flags) == 0
    data, rows = through_layer()
    assert data.shape[2:] == size
    np.testing.assert_array_equal(data[0], resize(BGR[0], *data.shape[2:]))
    np.testing.assert_allclose(rows, ROWS, rtol=1e-6)


def test_caffes_spellings(listed: Path) -> None:
    flags = (
        "-label_map_file map -anno_type detection -resize_width 9 -resize_height 8 -backend lmdb"
    )
    assert convert(*flags.split(), "-check_label", "-encode_type", "png", labels=False) == 0
    assert through_layer()[0].shape == (3, 3, 8, 9)


def test_text_needs_no_label_map(listed: Path) -> None:
    Path("list.txt").write_text("2.png 2.txt")
    assert convert(labels=False) == 0
    np.testing.assert_allclose(through_layer(1)[1][:, 1:], np.array(ROWS)[5:, 1:], rtol=1e-6)


def test_the_kind_may_be_said(listed: Path) -> None:
    Path("data/2.txt").rename("data/2.boxes")
    Path("list.txt").write_text("2.png 2.boxes")
    assert convert("--label-type", "txt") == 0


def test_records_are_shuffled_by_a_seed(listed: Path) -> None:
    assert convert("--shuffle", "--seed", "3") == 0
    names = [key.split("_")[1] for key in records()]
    assert sorted(names) == ["0.png", "1.png", "2.png"] != names


def test_names_and_sizes_are_written(listed: Path, capsys: Capture) -> None:
    Image.fromarray(RGB[0, :7]).save("data/1.png")
    assert convert("--name-size", "sizes") == 0
    assert Path("sizes").read_text() == "0 20 40\n1 7 40\n2 20 40\n"
    err = capsys.readouterr().err
    assert "1 annotations say another size than their image has" in err
    assert "images differ in size" in err
    # not over a file that is there
    assert main(["convert-annoset", "list.txt", "db2", "--root", "data/", "--name-size", "sizes"])
    assert '"sizes" is there already' in capsys.readouterr().err


def test_boxes_over_an_edge_are_kept_and_counted(listed: Path, capsys: Capture) -> None:
    Path("data/2.txt").write_text("1 -4 0 44 20\n1 0 0 40 20\n")
    assert convert() == 0
    assert "1 boxes go over their image's edge" in capsys.readouterr().err
    np.testing.assert_allclose(
        [b.bbox.xmax for b in records()["00000002_2.png"].annotation_group[0].annotation], [1.1, 1]
    )


@pytest.mark.parametrize(
    "name, old, new, parts",
    [
        ("0.xml", "<name>cat", "<name>catt", ['no class "catt"', 'did you mean "cat"?']),
        ("0.xml", "<annotation>", "<annotations>", ["0.xml", "damaged"]),
        ("0.xml", "<xmax>20<", "<xmax>much<", ["0.xml", "much"]),
        ("0.xml", "<xmax>20<", "<xmax>4<", ["has no area: 4, 5 to 4, 20"]),
        ("0.xml", "<ymin>5</ymin>", "", ['an object "dog" has no bndbox of four corners']),
        ("0.xml", "<width>40", "<width>0", ["the image's size is said to be 0"]),
        ("0.xml", "<annotation>", "<!DOCTYPE a []><annotation>", ["declares a document type"]),
        ("1.json", '"annotation"', '"annotations"', ['no list "annotation"']),
        ("1.json", "10.0, 5.0,", "10.0,", ["no category_id and bbox of four numbers"]),
        ("1.json", '"cat"', "17", ['no class "17"']),
        ("1.json", "{", "{{", ["1.json", "damaged"]),
        ("2.txt", "1 0 0 40 20", "1 0 0 40", ['line 3 is "1 0 0 40"', "a class and four corners"]),
        ("2.txt", "1 0 0 40 20", "9 0 0 40 20", ["line 3: the label map has no class 9"]),
        ("2.txt", "1 0 0 40 20", "1 0 0 nan 20", ["a place in the image was expected"]),
        ("2.png", None, "no image", ["2.png", "image"]),
    ],
)
def test_a_bad_file_is_shown_at_its_line(
    listed: Path, capsys: Capture, name: str, old: str | None, new: str, parts: list[str]
) -> None:
    path = Path("data") / name
    path.write_text(new if old is None else path.read_text().replace(old, new, 1))
    assert convert() == 1
    err = capsys.readouterr().err
    line = 1 + int(name[0])
    assert f"list.txt:{line}:1: " in err and "nothing is written" in err
    for part in parts:
        assert part in err
    assert not Path("db").exists() and not list(Path.cwd().glob("*.part"))
    assert convert("--skip-bad") == 0
    said = capsys.readouterr()
    assert "1 image left out" in said.err and "db: 2 images" in said.out


@pytest.mark.parametrize(
    "text, flags, parts",
    [
        ("0.png 0.xml\n9.png 0.xml\n", [], ["list.txt:2:1", 'no image "9.png" in "data/"']),
        ("0.png 9.xml\n", [], ["list.txt:1:7", 'no file "9.xml"']),
        ("0.png\n", [], ["list.txt:1:1", "not an image and an annotation"]),
        ("0.png 0.png\n", [], ["list.txt:1:1", "--label-type"]),
        ("0.png 0.xml\n", ["--min-dim", "-1"], ["--min-dim -1"]),
        ("0.png 0.xml\n", ["--resize-height", "3"], ["--resize-height 3 --resize-width 0"]),
        (
            "0.png 0.xml\n",
            ["--resize-height", "3", "--resize-width", "3", "--max-dim", "4"],
            ["give one of the two"],
        ),
        ("0.png 0.xml\n", ["--label-map", "nowhere"], ["nowhere"]),
        ("", [], ["is empty"]),
    ],
)
def test_bad_lists_and_options(
    listed: Path, capsys: Capture, text: str, flags: list[str], parts: list[str]
) -> None:
    Path("list.txt").write_text(text)
    assert convert(*flags) == 1
    err = capsys.readouterr().err
    for part in parts:
        assert part in err


def test_names_without_a_label_map_are_refused(listed: Path, capsys: Capture) -> None:
    assert convert(labels=False) == 1
    assert "annotations in XML name their classes" in capsys.readouterr().err


def test_images_of_other_sizes_are_refused_if_asked(listed: Path, capsys: Capture) -> None:
    Image.fromarray(RGB[0, :7]).save("data/1.png")
    assert convert("--check-size") == 1
    err = capsys.readouterr().err
    assert "list.txt:2:1: the image is 3 x 7 x 40" in err and "3 x 20 x 40" in err


@pytest.mark.parametrize("kind", ["xml", "json", "txt"])
def test_damaged_annotations_raise_no_foreign_exceptions(tmp_path: Path, kind: str) -> None:
    good = {"xml": XML, "json": json.dumps(JSON), "txt": TXT}[kind].encode()
    rng = np.random.default_rng(4)
    path, outcomes = tmp_path / f"a.{kind}", set()
    for trial in range(300):
        data = bytearray(good)
        for at in rng.integers(len(data), size=1 + trial % 4):
            data[at] = rng.integers(256)
        path.write_bytes(data[: rng.integers(1, len(data) + 1)] if trial % 3 == 0 else data)
        try:
            read_annotation(str(path), kind, (20, 40), {"cat": 1, "dog": 2})
            outcomes.add("read")
        except CaffeliteError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_deep_or_large_annotation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000)
    with pytest.raises(CaffeliteError, match=r"a\.json"):
        read_annotation(str(path), "json", (20, 40), {})
    path.write_bytes(b" " * (3 << 20))
    with pytest.raises(CaffeliteError, match="definition"):
        read_annotation(str(path), "json", (20, 40), {})
