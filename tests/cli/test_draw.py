"""caffelite draw: formats, names of files, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from caffelite.cli import main

NETS = Path(__file__).parents[2] / "nets"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(NETS / "spiral.net", tmp_path)
    shutil.copy(NETS / "lenet.net", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.svg", b"<svg "),
        ("a.png", b"\x89PNG"),
        ("a.dot", b'digraph "spiral"'),
        ("a.gv", b'digraph "spiral"'),
        ("a.mmd", b"flowchart TD\n"),
    ],
)
def test_the_format_follows_from_the_name(
    name: str, start: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draw", "spiral.net", "-o", name]) == 0
    data = Path(name).read_bytes()
    assert data.startswith(start)
    assert capsys.readouterr().out == f"wrote {name} ({max(1, len(data) // 1000)} KB)\n"


def test_without_a_name_it_is_that_of_the_net(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "spiral.net"]) == 0
    assert Path("spiral.svg").exists() and "wrote spiral.svg" in capsys.readouterr().out


def test_to_the_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["draw", "spiral.net", "-o", "-", "--format", "dot"]) == 0
    assert capfdbinary.readouterr().out.startswith(b'digraph "spiral"')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["spiral.net", "-o", "a.jpg"], '"a.jpg" does not end like a picture\n  expected a name '
         "that ends in .svg, .png, .dot, .gv, .mmd\n  or --format, which takes any name\n"),
        (["sprial.net"], 'sprial.net: no such file\n  did you mean "spiral.net"?\n'),
        (["lenet.net", "--shape", "image=1x1x2x2"], 'no data layer makes a blob "image"\n'
         "  expected one of data, label\n"),
    ],
)  # fmt: skip
def test_refusals(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", *arguments]) == 1
    assert capsys.readouterr().err == said


def test_shapes_may_be_given_for_both_phases() -> None:
    assert main(["draw", "lenet.net", "-o", "b.dot", "--shape", "data=64x1x28x28"]) == 0
    assert Path("b.dot").read_text().count('[label="64x1x28x28"]') == 2
    assert main(["draw", "lenet.net", "-o", "a.dot", "--phase", "test", "--stage", "deploy"]) == 0
    assert "SoftmaxWithLoss" not in Path("a.dot").read_text()
