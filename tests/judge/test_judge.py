"""Warnings: how they are declared, ordered, switched off, and what they need of the machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.errors import Source, Span
from caffelite.files import parse_net
from caffelite.judge import NAMES, Start, judge_job, machine
from caffelite.judge.allow import allowed
from caffelite.judge.check import check_file
from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import of_net
from caffelite.judge.states import MOST_SETS
from caffelite.schema.solver import SolverParameter
from caffelite.solver import plan_job

ROOT = Path(__file__).parents[2]
NET = """
layer { name: "d" type: "DummyData" top: "x" top: "label"
  dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def names_in_the_tables() -> set[str]:
    text = (ROOT / "tests/cli/table/warnings.txt").read_text(encoding="utf-8")
    return set(re.findall(r"\[([a-z-]+)\]$", text, re.MULTILINE))


def test_every_warning_has_its_words_in_the_table() -> None:
    elsewhere = {"memory", "classes-differ"}  # they need a machine, and images: below
    assert set(NAMES) - names_in_the_tables() == elsewhere


def test_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--names"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(NAMES)


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="there is a warning"):
        of_net("same-name", "something else")(lambda net: iter(()))


def test_a_net_beyond_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "installed", lambda: 100)
    param = SolverParameter(base_lr=0.1, lr_policy="fixed", max_iter=1)
    param.net_param = parse_net(NET)
    (doubt,) = judge_job(plan_job(param))
    assert doubt.name == "memory" and "and this machine has 0.0 GiB" in doubt.message
    monkeypatch.setattr(machine, "installed", lambda: 0)  # where it is not known
    assert judge_job(plan_job(param)) == []
    assert judge_job(plan_job(param), Start.FILLERS) == []


def test_folders_of_other_classes(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for folder in ("train/cat", "train/dog", "test/cat", "test/cow", "test/dog"):
        (tmp_path / folder).mkdir(parents=True)
        image.new("RGB", (4, 4)).save(tmp_path / folder / "a.png")
    layers = [
        f'layer {{ name: "{phase}" type: "FolderData" top: "x" top: "label" include {{ phase: '
        f'{phase.upper()} }} folder_data_param {{ source: "{phase}" batch_size: 1 }} }}\n'
        for phase in ("train", "test")
    ]
    (tmp_path / "f.net").write_text("".join(layers))
    (doubt,) = check_file(str(tmp_path / "f.net")).warnings
    assert doubt.name == "classes-differ"
    assert "has 2 classes" in doubt.message and "3: cow in one of them alone" in doubt.message


@pytest.mark.parametrize(
    "text, line, switched_off",
    [
        ("# allow: x\nlayer {\n  name: 1\n}", 3, True),  # above the first field
        ("name: 1\n\n# allow: x\nlayer {\n  type: 1\n}", 5, True),  # above the layer
        ("name: 1\nlayer { # allow: x\n\n  type: 1\n}", 4, True),
        ("name: 1\nlayer {\n\n  type: 1 # fine here; allow: x\n}", 4, True),
        ("name: 1\nlayer {\n\n  type: 1 # allow: y, x: it is meant\n}", 4, True),
        ("name: 1\nlayer {\n  # allow: x\n\n  type: 1\n}", 5, False),
        ("name: 1\nlayer {\n  type: 1 # allow: xy\n}", 3, False),
        ("name: 1\nlayer {\n  type: 1 # allow x\n}", 3, False),
        ("name: 1\nlayer { # allow: x\n}\nlayer {\n  type: 1\n}", 5, False),
    ],
)
def test_a_comment_switches_a_warning_off(text: str, line: int, switched_off: bool) -> None:
    doubt = Doubt("m", Span(Source("f", text), line, 3), "r", "r", "x")
    assert allowed(doubt) == switched_off
    assert not allowed(Doubt("m", None, "r", "r", "x"))


def test_json_for_editors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.net").write_text(NET.replace('"ip" bottom: "label"', '"ib" bottom: "label"'))
    Path("b.net").write_text(NET.replace("param {", "param { lr_mult: 0 } inner_product_param {"))
    Path("b.net").write_text(NET.replace("num_output: 2", "num_output: 2").strip() + "\n# end\n")
    Path("c.net").write_text(NET.replace('top: "ip"', 'top: "ip" param { lr_mult: -1 }'))
    Path("d.net").write_text(
        'layer { name: "d" type: "IdxData" top: "x" idx_data_param { images: "no" batch_size: 1 } }'
    )
    assert main(["check", "--json", "a.net", "b.net", "c.net", "d.net"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == "" and found["ok"] is False
    a, b, c, d = found["files"]
    assert a["mistakes"][0] == {
        "file": "a.net",
        "line": 6,
        "column": 54,
        "width": 4,
        "message": 'layer "loss" reads "ib", which no layer before it makes',
        "expected": 'a top of an earlier layer: "x", "label", "ip"',
        "hint": None,
    }
    assert b["mistakes"] == b["warnings"] == b["absent"] == [] and len(b["says"]) == 2
    (warning,) = c["warnings"]
    assert warning["name"] == "negative-multiplier" and warning["line"] == 4
    assert warning.keys() == {
        *("file", "line", "column", "width", "message", "name", "reason", "remedy")
    }
    assert d["mistakes"] == [] and 'no file of images "no"' in d["absent"][0]["message"]
    assert main(["check", "--json", "b.net", "c.net", "d.net"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(["check", "--json", "--strict", "d.net"]) == 1


def test_a_net_and_its_solver_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    solver = 'net: "n.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_after_train: false'
    Path("s.solver").write_text(solver)
    Path("n.net").write_text(NET.replace('type: "InnerProduct"', 'type: "InnerProdukt"'))
    assert main(["check", "n.net", "s.solver"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("InnerProdukt") == 2  # the message and the line
    assert "s.solver: 1 mistake, which is said already" in captured.out
    Path("n.net").write_text(NET.replace('top: "ip"', 'top: "ip" param { lr_mult: -1 }'))
    assert main(["check", "s.solver", "n.net", f"{tmp_path}/n.net"]) == 0
    assert capsys.readouterr().err.count("negative-multiplier") == 1


def test_train_warns_before_it_begins_and_starts_from_what_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    solver = 'net: "n.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "run"'
    Path("s.solver").write_text(solver)
    zero = NET.replace('weight_filler { type: "xavier" }', "")
    twice = zero.replace('"ip"', '"hidden"', 2).replace('bottom: "ip"', 'bottom: "y"')
    second = 'layer { name: "i2" type: "InnerProduct" bottom: "hidden" top: "y" '
    second += 'inner_product_param { num_output: 2 } }\nlayer { name: "loss"'
    Path("n.net").write_text(twice.replace('layer { name: "loss"', second))
    assert main(["train", "s.solver"]) == 0
    error = capsys.readouterr().err
    assert error.count("[zero-weights]") == 2
    assert main(["train", "s.solver", "--weights", "run_iter_1.caffemodel"]) == 0
    assert main(["train", "s.solver", "--allow", "zero-weights"]) == 0
    assert "zero-weights" not in capsys.readouterr().err.replace("start at 0", "")


def test_many_mistakes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "".join(f'layer {{ name: "{i}" type: "ReLU" botom: "x" }}\n' for i in range(300))
    Path("f.net").write_text(text)
    assert main(["check", "f.net"]) == 1
    error = capsys.readouterr().err
    assert error.count('no field "botom"') == 100
    assert error.endswith("\n\n300 mistakes, 100 of them shown\n")


def test_names_cannot_move_the_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blob = "layer { name: 'q\\033[2J' type: 'DummyData' top: 'x\\033]0;hi\\007' "
    shape = "dummy_data_param { shape { dim: 1 } } }\n"
    Path("f.net").write_text(blob + shape)
    Path("g.net").write_text("layer { name: 'q\\033[2J' type: 'Re\\033[1mLU' }")
    assert main(["check", "f.net", "g.net"]) == 1
    captured = capsys.readouterr()
    assert "x ]0;hi" in captured.out and 'unknown layer type "Re [1mLU"' in captured.err
    assert not set(captured.out + captured.err) & {"\x1b", "\x07"}


STAGED = """
layer { name: "a" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 } }
  include { stage: "one" } }
layer { name: "b" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 } }
  include { stage: "two" } }
layer { name: "r" type: "ReLU" bottom: "x" top: "y" }
"""


def test_stages_that_exclude_each_other_are_checked_alone(tmp_path: Path) -> None:
    (tmp_path / "f.net").write_text(STAGED)
    report = check_file(str(tmp_path / "f.net"))
    assert not report.mistakes
    assert [line.partition(":")[0] for line in report.says] == [
        f"{phase} ({stage})" for phase in ("TRAIN", "TEST") for stage in ("one", "two")
    ]


def test_of_very_many_stages_some_are_tried(tmp_path: Path) -> None:
    file = tmp_path / "stages.net"
    layers = (
        f'layer {{ name: "a" type: "ReLU" bottom: "x" top: "t{i}" include {{ stage: "s{i}" }} }}\n'
        for i in range(MOST_SETS)
    )
    first = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }\n'
    file.write_text(first + "".join(layers))
    report = check_file(str(file))
    assert not report.mistakes
    assert report.says[-1] == "stages: 2 of the sets that rules name, not checked"
    assert len(report.says) == 2 * MOST_SETS + 1
