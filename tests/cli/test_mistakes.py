"""Every mistake that `check` knows, word for word as its author will read it."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.errors import CaffeliteError
from caffelite.judge.check import check_file

NETS = Path(__file__).parents[2] / "nets"
_CASES = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8")
# A file, a line of dots, its report, a line of double dashes; "## ..." before a case is a title.
_CASE = r"(?:^#.*\n|^\n)*([^\0]*?)\n\.{6}\n([^\0]+?)\n={6}\n"
MISTAKES = re.findall(_CASE, _CASES, re.MULTILINE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(NETS / "spiral.net", tmp_path)
    return tmp_path


def test_the_cases_are_all_there() -> None:
    assert len(MISTAKES) == _CASES.count("\n......\n") > 60


@pytest.mark.parametrize(("text", "report"), MISTAKES, ids=[report for _, report in MISTAKES])
def test_a_mistake_is_explained(
    text: str, report: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = report.partition(":")[0]  # f.net or s.solver
    Path(name).write_text(text + "\n" if text else "")
    assert main(["check", name]) == 1
    said = capsys.readouterr()
    count = len(re.findall(r"^\S+?:\d+:\d+: ", report, re.MULTILINE))
    total = f"\n\n{count} mistakes" if count > 1 else ""
    assert said.err.replace(str(folder), "FOLDER") == f"{report}{total}\n"
    assert said.out == f"{name}: {count} mistake{'s' if count > 1 else ''}\n"
    excerpts = [line for line in report.splitlines() if line[6:7] == "|"]
    assert len(excerpts) == 2 * count and max(map(len, excerpts)) <= 80


def test_what_train_says_of_a_net_is_what_check_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("spiral.net").read_text().replace('"ReLU"', '"Relu"')
    Path("spiral.net").write_text(text.replace('bottom: "score"', 'bottom: "scores"', 1))
    Path("s.solver").write_text(
        'net: "spiral.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_after_train: false'
    )
    reports = []
    for command in (["check", "s.solver"], ["train", "--solver", "s.solver"]):
        assert main(command) == 1
        reports.append(capsys.readouterr().err)
    assert reports[0] == reports[1]
    assert 'did you mean "ReLU"?' in reports[0] and 'did you mean "score"?' in reports[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html>\n<html></html>", "this is a web page (HTML), not a text definition"),
        (b"\x0a\x05LeNet\xa2\x06\x00\x00\x80?", "bad.net"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "bad.net"),
        (b"", "the net has no layers"),
        (None, "no such file"),
    ],
)
def test_what_is_no_text_definition(
    content: bytes | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("bad.net").write_bytes(content)
    assert main(["check", "bad.net"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("bad.net:") and said in error and "Traceback" not in error


def test_a_misspelt_file_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "sprial.net"]) == 1
    assert 'did you mean "spiral.net"?' in capsys.readouterr().err


def test_a_net_and_a_solver_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.solver").write_text('net: "spiral.net" base_lr: 0.1\n')
    assert main(["train", "--solver", "spiral.net"]) == 1
    assert "this is a net, where a solver file is expected" in capsys.readouterr().err
    assert main(["test", "--model", "s.solver", "--weights", "x"]) == 1
    assert "this is a solver file, where a net is expected" in capsys.readouterr().err


def test_a_file_may_be_meant_for_one_phase(capsys: pytest.CaptureFixture[str]) -> None:
    Path("d.net").write_text(
        'layer { name: "d" type: "DummyData" top: "x" include { phase: TRAIN }\n'
        '  dummy_data_param { shape { dim: 1 } } }\nlayer { name: "r" type: "ReLU" bottom: "x"'
        ' top: "y" }'
    )
    assert main(["check", "d.net"]) == 0
    assert "phase TEST: no data layer, not checked" in capsys.readouterr().out


def test_stages_are_checked_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("d.net").write_text(
        'layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 1 } } }\n'
        'layer { name: "r" type: "ReLU" bottom: "nope" top: "y" include { stage: "deploy" } }'
    )
    assert main(["check", "d.net"]) == 1
    assert 'd.net:2:40: layer "r" reads "nope"' in capsys.readouterr().err


TOKEN = re.compile(r'"[^"]*"|[\w.]+|[{}:]')
STRAY = ["{", "}", ":", '"', "0", "-1", "1e9", "layer", '"x"', "TEST", "#", "inf", "param { }"]


@pytest.mark.parametrize("seed", range(30))
def test_any_mutant_is_right_or_explained(seed: int) -> None:
    """Ten mutants a seed: tokens of the spiral net deleted, doubled, exchanged, replaced."""
    chance = random.Random(seed)
    lines = [line.partition("#")[0] for line in Path("spiral.net").read_text().splitlines()]
    original = TOKEN.findall("\n".join(lines))
    for _ in range(10):
        tokens = list(original)
        for _ in range(chance.randint(1, 3)):
            i, j = chance.randrange(len(tokens)), chance.randrange(len(tokens))
            change = chance.choice(["delete", "double", "exchange", "copy", "stray"])
            if change == "delete":
                del tokens[i]
            elif change == "double":
                tokens.insert(i, tokens[i])
            elif change == "exchange":
                tokens[i], tokens[j] = tokens[j], tokens[i]
            else:
                tokens[i] = tokens[j] if change == "copy" else chance.choice(STRAY)
        Path("mutant.net").write_text(" ".join(tokens))
        report = check_file("mutant.net")
        problems = report.mistakes
        assert problems or report.says
        if problems:
            assert str(CaffeliteError(*problems)).startswith("mutant.net:")
