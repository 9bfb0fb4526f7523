"""No command writes over a file that is there, unless --force says so; a picture that caffelite has
drawn is drawn anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import caffelite
from caffelite.cli import main

ROOT = Path(__file__).parents[2]
NET = """
layer { name: "d" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 4 dim: 1 dim: 4 dim: 4 } shape { dim: 4 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 2 kernel_size: 2 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
PRECIOUS = b"mine, for years"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("f.net").write_text(NET)
    shutil.copy(ROOT / "nets" / "spiral.net", ".")
    caffelite.Net("f.net", caffelite.TRAIN, seed=1).save("w.caffemodel")
    lines = (f"Iteration {i}, loss = {9 - i}\nIteration {i}, lr = 0.1\n" for i in range(3))
    Path("s.log").write_text("".join(lines))
    return tmp_path


WRITING = [
    ("draw f.net -o out.svg", "out.svg"),
    ("draw f.net -o out.png", "out.png"),
    ("draw f.net -o out.dot", "out.dot"),
    ("draw f.net -o out.mmd", "out.mmd"),
    ("draw f.net", "f.svg"),
    ("plot curves s.log -o out.png", "out.png"),
    ("plot curves s.log", "s_curves.png"),
    ("plot filters f.net w.caffemodel", "f_c_filters.png"),
    ("test f.net w.caffemodel --iterations 1 --png out.png", "out.png"),
    ("deploy f.net out.net", "out.net"),
    ("features f.net w.caffemodel ip out.npz --iterations 1", "out.npz"),
    ("upgrade f.net out.net", "out.net"),
    ("new spiral", "spiral.net"),
]
EXPORT = "export f.net w.caffemodel -o out.onnx --verify none"


def refuses_and_is_forced(line: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(target).write_bytes(PRECIOUS)
    before = sorted(Path().iterdir())
    assert main(line.split()) == 1
    error = capsys.readouterr().err
    assert target in error and "exists already" in error
    assert Path(target).read_bytes() == PRECIOUS and sorted(Path().iterdir()) == before
    assert main([*line.split(), "--force"]) == 0
    assert Path(target).read_bytes() != PRECIOUS


@pytest.mark.parametrize(("line", "target"), WRITING)
def test_a_file_that_is_there_is_left_alone(
    line: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refuses_and_is_forced(line, target, capsys)
    again = main(line.split())
    assert again == (0 if target.endswith((".svg", ".png")) else 1)


def test_models_and_what_lies_beside_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    refuses_and_is_forced(EXPORT, "out.onnx", capsys)
    Path("out.onnx").unlink()
    Path("out.onnx.data").write_bytes(PRECIOUS)
    assert main([*EXPORT.split(), "--external"]) == 1
    assert "out.onnx.data: exists already" in capsys.readouterr().err
    assert main(["import-onnx", "out.onnx", "-o", "f.net"]) == 1
    assert "f.net: exists already" in capsys.readouterr().err
    assert main(["import-onnx", "out.onnx", "-o", "w.net"]) == 1
    assert "w.caffemodel: exists already" in capsys.readouterr().err


def test_no_net_is_drawn_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "f.net", "--format", "svg", "-o", "f.net"]) == 1
    assert "IN and OUT are the same file" in capsys.readouterr().err
    assert Path("f.net").read_text() == NET


def test_a_folder_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "f.net", "new/out.net"]) == 1
    said = capsys.readouterr().err
    assert said == 'new/out.net: there is no folder "new"\n  mkdir -p new\n'


def test_a_log_is_no_place_for_notes(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.solver").write_text(
        'net: "f.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 snapshot_after_train: false'
    )
    Path("notes.txt").write_bytes(PRECIOUS)
    assert main(["train", "-q", "s.solver", "--log", "notes.txt"]) == 1
    assert "notes.txt: exists already, and is no log of a run" in capsys.readouterr().err
    assert Path("notes.txt").read_bytes() == PRECIOUS
    assert main(["train", "-q", "s.solver", "--log", "run.jsonl"]) == 0
    assert main(["train", "-q", "s.solver", "--log", "run.jsonl"]) == 0
