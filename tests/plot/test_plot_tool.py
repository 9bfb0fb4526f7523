"""tools/plot_boundary.py, as a person runs it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

import caffelite
from caffelite.files import parse_net
from caffelite.net import Net

ROOT = Path(__file__).parent.parent.parent
TOOL = ROOT / "tools" / "plot_boundary.py"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plot_boundary", TOOL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def save_weights(path: Path, seed: int = 1) -> None:
    Net(ROOT / "nets" / "spiral.net", caffelite.TEST, seed=seed).save(str(path))


def write_log(path: Path, seed: int = 1) -> None:
    records: list[dict[str, object]] = [
        {"event": "start", "iteration": 0, "seed": seed},
        {"event": "train", "iteration": 0, "loss": 1.0, "lr": 0.1, "outputs": {}},
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in records))


def test_without_a_snapshot_it_says_what_to_do(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "run `caffelite train --solver solvers/spiral.solver` first" in shown.err
    assert not list(here.iterdir())


def test_it_takes_the_newest_snapshot_and_its_log(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_weights(here / "spiral_iter_10.caffemodel")
    write_log(here / "spiral.jsonl")
    assert tool.main(["--grid", "50"]) == 0
    shown = capsys.readouterr()
    assert "wrote spiral_boundary.png (" in shown.out
    assert "accuracy = 0." in shown.out and "of 300 points" in shown.out
    assert "wrote spiral_curves.png (" in shown.out
    assert not shown.err
    for name in ("spiral_boundary.png", "spiral_curves.png"):
        assert (here / name).read_bytes().startswith(PNG)


def test_the_points_are_those_of_training(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Equal seeds, equal points, so equal pictures; without the seed it says so."""
    save_weights(here / "w.caffemodel")
    text = (ROOT / "nets" / "spiral.net").read_text()
    unseeded = re.sub(r"\n +seed: 1 .*", "", text)
    assert unseeded != text
    (here / "spiral.net").write_text(unseeded)
    command = ["spiral.net", "w.caffemodel", "--grid", "20", "--log", "spiral.jsonl"]
    pictures = []
    for seed in (1, 1, 2):
        write_log(here / "spiral.jsonl", seed)
        assert tool.main(command) == 0
        pictures.append((here / "spiral_boundary.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]
    assert not capsys.readouterr().err
    (here / "spiral.jsonl").unlink()
    assert tool.main(command[:-2]) == 0
    assert "drawn anew" in capsys.readouterr().err


def test_names_are_as_asked(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_weights(here / "w.caffemodel")
    write_log(here / "some.log")
    net = str(ROOT / "nets" / "spiral.net")
    command = [net, "w.caffemodel", "--grid", "20", "--out", "a.png", "--blob", "score"]
    assert tool.main([*command, "--log", "some.log", "--curves", "b.png", "--show"]) == 0
    shown = capsys.readouterr()
    assert "wrote a.png" in shown.out and "wrote b.png" in shown.out
    assert "there is no display here" in shown.err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--blob", "scor"], 'did you mean "score"?'),
        (["--out", "w.caffemodel"], "does not end in .png"),
        (["--out", "notes.png"], "not drawn by caffelite"),
        (["--log", "none.jsonl"], "no such file"),
        (["--curves", "c.png"], "there is no w.jsonl"),
        (["--grid", "1"], "2 or more"),
        (["--plugin", "none.py"], "no plug-in"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    tool: ModuleType,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    message: str,
) -> None:
    save_weights(here / "w.caffemodel")
    (here / "notes.png").write_text("precious")
    assert tool.main([str(ROOT / "nets" / "spiral.net"), "w.caffemodel", *extra]) == 1
    shown = capsys.readouterr()
    assert message in shown.err and "Traceback" not in shown.err
    assert (here / "notes.png").read_text() == "precious"


def test_missing_files_and_three_inputs(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["none.net", "none.caffemodel"]) == 1
    assert "none.net" in capsys.readouterr().err
    text = (
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 2 } }\n"
    )
    (here / "three.net").write_text(text)
    assert tool.main(["three.net", "none.caffemodel"]) == 1
    assert "none.caffemodel" in capsys.readouterr().err
    Net(parse_net(text), caffelite.TEST).save("three.caffemodel")
    assert tool.main(["three.net", "three.caffemodel"]) == 1
    assert 'three.net:1:1: blob "x" has 3 numbers for each sample' in capsys.readouterr().err
