"""tools/shapes_lmdb.py and what it says to do next: SSD from files of images and annotations to
boxes, by the command line."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from caffelite.cli import main
from caffelite.data.annotations import read_annotation

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_the_way_from_files_to_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    counts = ["--train", "40", "--test", "6", "--iterations", "12", "--batch", "4"]
    assert tool("shapes_lmdb").main(["d", *counts]) == 0
    said = capsys.readouterr().out
    assert said.startswith("d: 40 images to train on, 6 to test.")
    commands = [shlex.split(line) for line in said.splitlines()[2:]]
    assert [words[1] for words in commands] == [
        "convert-annoset", "convert-annoset", "train", "test", "tools/draw_boxes.py"
    ]  # fmt: skip
    shown = []
    for words in commands[:4]:
        assert words[0] == "caffelite"
        assert main(words[1:]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].startswith("d/train_lmdb: 40 images of 3 x 64 x 64, ")
    assert "boxes of 3 classes" in shown[0]
    means = [float(line.split("= ")[1]) for line in shown[3].splitlines() if "mAP" in line]
    assert len(means) == 4 and means[0] == pytest.approx(sum(means[1:]) / 3, abs=1e-4)
    assert tool("draw_boxes").main(commands[4][2:]) == 0
    assert Path("d/boxes.png").read_bytes().startswith(b"\x89PNG")


def test_annotations_say_where_the_shapes_are(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    assert tool("shapes_lmdb").main([str(folder), "--train", "8", "--test", "1"]) == 0
    classes = {"rectangle": 1, "disc": 2, "triangle": 3}
    seen = 0
    for path in sorted((folder / "train").glob("*.xml")):
        image = np.asarray(Image.open(path.with_suffix(".png"))).astype(int)
        objects = read_annotation(str(path), "xml", (64, 64), classes)
        ground = np.median(image.reshape(-1, 3), axis=0)
        for label, (x1, y1, x2, y2), _ in objects.found:
            middle = image[int(y1 + y2) // 2, int(x1 + x2) // 2]
            seen += label == 1 and np.abs(middle - ground).max() > 60
    assert seen >= 3


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    assert tool("shapes_lmdb").main([str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert tool("shapes_lmdb").main([str(tmp_path / "d"), "--train", "0"]) == 1
    assert list(tmp_path.iterdir()) == []
