"""Files of a detector's results: `caffelite test` with save_output_param."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.net import Net

h5py = pytest.importorskip("h5py")
Capture = pytest.CaptureFixture[str]

NET = """
layer { name: "d" type: "HDF5Data" top: "loc" top: "conf" top: "prior"
  hdf5_data_param { source: "list" batch_size: 1 } }
layer { name: "found" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "y"
  detection_output_param { num_classes: 3 confidence_threshold: 0.3
    save_output_param { output_directory: "out" output_name_prefix: "r_" output_format: "%s" %s
      label_map_file: "map" name_size_file: "sizes" } } }
layer { name: "ip" type: "InnerProduct" bottom: "loc" top: "ip"
  inner_product_param { num_output: 1 } }
"""
MAP = """
item { name: "none" label: 0 } item { name: "cat" label: 1 } item { name: "dog" label: 18 }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images, each with two priors; of the first a cat and a dog, of the second a dog that
    goes over an edge, of the third nothing."""
    monkeypatch.chdir(tmp_path)
    prior = [[0.1, 0.2, 0.5, 0.6, 0.5, 0.5, 1.5, 1.0], [0.1] * 8]
    with h5py.File("0.h5", "w") as file:
        file["loc"] = np.zeros((3, 8), np.float32)
        file["conf"] = np.array(
            [[0.1, 0.9, 0, 0.2, 0, 0.8], [1, 0, 0, 0.3, 0, 0.7], [1, 0, 0, 1, 0, 0]], np.float32
        )
        file["prior"] = np.array([prior] * 3, np.float32)
    Path("list").write_text("0.h5\n")
    Path("map").write_text(MAP.replace("18", "2"))
    Path("sizes").write_text("000007 50 101\n12 10 10\n9 10 10\n")
    return tmp_path


def run(form: str, more: str = "") -> int:
    Path("n.net").write_text(NET % (form, more))
    Net("n.net", caffelite.TEST, seed=1).save("w.caffemodel")
    return main(["test", "n.net", "w.caffemodel"])


def test_voc(folder: Path, capsys: Capture) -> None:
    assert run("VOC") == 0
    said = capsys.readouterr().out
    assert "wrote out/r_cat.txt\nwrote out/r_dog.txt\n" in said
    # 0.1·101 = 10.1 and 0.2·50 = 10; sides 40.4 and 20, cut to whole pixels one by one
    assert Path("out/r_cat.txt").read_text() == "000007 0.9 10 10 50 30\n"
    assert Path("out/r_dog.txt").read_text() == "000007 0.8 50 25 100 50\n12 0.7 5 5 10 10\n"


def test_coco(folder: Path) -> None:
    assert run("COCO") == 0
    found = json.loads(Path("out/r_.json").read_text())
    assert found == [
        {"image_id": 7, "category_id": "cat", "bbox": [10.1, 10.0, 40.4, 20.0], "score": 0.9},
        {"image_id": 7, "category_id": "dog", "bbox": [50.5, 25.0, 50.5, 25.0], "score": 0.8},
        {"image_id": 12, "category_id": "dog", "bbox": [5.0, 5.0, 5.0, 5.0], "score": 0.7},
    ]


def test_ilsvrc_of_some_images(folder: Path) -> None:
    assert run("ILSVRC", "num_test_image: 1") == 0
    assert Path("out/r_.txt").read_text() == (
        "000007 1 0.9 10 10 50 30\n000007 2 0.8 50 25 100 50\n"
    )


def test_what_was_padded_is_taken_away(folder: Path) -> None:
    padded = "resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 8 width: 8 }"
    Path("sizes").write_text("a 50 100\nb 10 10\n")
    assert run("ILSVRC", f"num_test_image: 1 {padded}") == 0
    # rows 0.25 to 0.75 are the image: 0.2 is above it, 0.6 is 0.7 of it
    assert Path("out/r_.txt").read_text() == "a 1 0.9 10 0 50 35\na 2 0.8 50 25 100 50\n"


def test_nothing_is_written_over(folder: Path, capsys: Capture) -> None:
    Path("out").mkdir()
    Path("out/r_dog.txt").write_text("mine")
    assert run("VOC") == 1
    err = capsys.readouterr().err
    assert '"out/r_dog.txt" is there already' in err and "n.net:6:" in err
    assert [p.name for p in Path("out").iterdir()] == ["r_dog.txt"]
    assert Path("out/r_dog.txt").read_text() == "mine"
    assert run("COCO") == 0


@pytest.mark.parametrize(
    "file, text, parts",
    [
        ("map", 'item { name: "cat" label: 1 }', ["no class 2", "n.net:7:"]),
        ("map", None, ['no label map "map"', "n.net:7:"]),
        ("sizes", "a 1\n", ["sizes:1:1"]),
        ("sizes", None, ['"sizes"', "n.net:7:"]),
    ],
)
def test_what_is_missing_is_refused_before_the_test(
    folder: Path, capsys: Capture, file: str, text: str | None, parts: list[str]
) -> None:
    Path(file).unlink()
    if text is not None:
        Path(file).write_text(text)
    assert run("VOC") == 1
    err = capsys.readouterr().err
    for part in parts:
        assert part in err
    assert not Path("out").exists()


def test_an_unknown_form_is_refused(folder: Path) -> None:
    Path("n.net").write_text(NET % ("YOLO", ""))
    with pytest.raises(caffelite.errors.CaffeliteError, match="VOC, COCO, ILSVRC"):
        Net("n.net", caffelite.TEST)


def test_a_pass_in_python_writes_nothing(folder: Path) -> None:
    Path("n.net").write_text(NET % ("VOC", ""))
    Net("n.net", caffelite.TEST).forward()
    assert not Path("out").exists()
