"""Whose files are under a snapshot_prefix: the log's last start, the manifest, the snapshots."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.judge.check import check_file

NET = """{name}
layer {{ name: "d" type: "DummyData" top: "x" top: "label"
  dummy_data_param {{ shape {{ dim: 4 dim: 3 }} shape {{ dim: 4 }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param {{ num_output: 2 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("a", 'name: "a"')
    return tmp_path


def write(stem: str, name: str) -> None:
    Path(f"{stem}.net").write_text(NET.format(name=name))
    Path(f"{stem}.solver").write_text(
        f'net: "{stem}.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "run"'
    )


def said(solver: str = "a.solver") -> list[str]:
    report = check_file(solver)
    assert not report.mistakes
    return [doubt.message for doubt in report.warnings if doubt.name == "prefix-in-use"]


def log(*records: object) -> None:
    Path("run.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_the_last_start_counts() -> None:
    assert said() == []
    log({"event": "start", "net": "b"}, {"event": "display", "loss": 1})
    assert said() == ['"run.jsonl" is the log of the net "b", and this one is "a"']
    log({"event": "start", "net": "b"}, {"event": "display"}, {"event": "start", "net": "a"})
    assert said() == []
    log({"event": "note"}, {"event": "start", "net": "a"}, {"event": "start", "net": "b"})
    assert len(said()) == 1


def test_lines_that_are_no_records_are_passed_over() -> None:
    text = '\n{"event": "sta\n[1, "start"]\n"start"\n' + "x" * 200_000 + "\n"
    Path("run.jsonl").write_bytes(b'\xff\xfe"start"\n' + text.encode())
    assert said() == []
    with open("run.jsonl", "a", encoding="utf-8") as file:
        file.write('{"event": "start", "net": "b"}\n')
    assert len(said()) == 1


def test_snapshots_without_a_log() -> None:
    write("b", 'name: "b"')
    assert main(["train", "-q", "b.solver"]) == 0
    os.remove("run.jsonl")
    os.remove("run.run.json")
    (found,) = said()
    assert found == ('"run_iter_2.caffemodel" holds parameters of the net "b", and this one is "a"')
    assert said("b.solver") == []
    Path("run_iter_3.caffemodel").write_bytes(b"\x0a")
    os.utime("run_iter_3.caffemodel", (4e9, 4e9))
    assert said() == []


def test_nets_without_names_are_told_apart_by_their_files() -> None:
    write("c", "")
    write("d", "")
    assert main(["train", "-q", "c.solver"]) == 0
    assert said("c.solver") == []
    assert said("d.solver") == [
        '"run.run.json" is of a run of "c.net", and this net is that of "d.net"'
    ]
    assert said() == ['"run.jsonl" is the log of a net without a name, and this one is "a"']


def test_a_run_that_writes_nothing_overwrites_nothing() -> None:
    log({"event": "start", "net": "b"})
    path = Path("a.solver")
    path.write_text(path.read_text() + " snapshot_after_train: false")
    assert said() == []
