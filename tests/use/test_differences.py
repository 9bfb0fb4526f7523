"""diff: what differs between texts and between files of parameters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.use.differences import text_difference, weight_difference

NET = """
  name: "n"
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 4 } }
  layer { name: "act" type: "ReLU" bottom: "y" top: "y" }
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.net").write_text(NET)


def write(old: str, new: str) -> None:
    assert old in NET
    Path("new.net").write_text(NET.replace(old, new))


def test_layout_and_comments_do_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.net").write_text("# other\n" + NET.replace('"', "'").replace("  ", "\n"))
    assert not text_difference("old.net", "new.net")
    assert main(["diff", "old.net", "new.net"]) == 0
    assert capsys.readouterr().out == ""


def test_fields_and_the_shapes_that_follow(capsys: pytest.CaptureFixture[str]) -> None:
    write("num_output: 4", "num_output: 5 bias_term: false")
    assert main(["diff", "old.net", "new.net"]) == 1
    assert capsys.readouterr().out == (
        "--- old.net\n"
        "+++ new.net\n"
        "  layer ip (InnerProduct)\n"
        "      inner_product_param.num_output: 4 -> 5\n"
        "    + inner_product_param.bias_term: false\n"
        "      shape of y: 2x4 -> 2x5\n"
        "      shape of parameter 0: 4x3 -> 5x3\n"
        "  layer act (ReLU)\n"
        "      shape of y: 2x4 -> 2x5\n"
        "16 -> 15 parameters\n"
    )


def test_layers_that_come_go_and_move() -> None:
    write('layer { name: "act" type: "ReLU" bottom: "y" top: "y" }',
          'layer { name: "end" type: "Silence" bottom: "y" }')  # fmt: skip
    found = text_difference("old.net", "new.net")
    assert (found.removed, found.added, found.moved) == (["act (ReLU)"], ["end (Silence)"], [])
    lines = NET.strip().splitlines()
    Path("new.net").write_text("\n".join([*lines[:1], lines[4], *lines[2:4], lines[1]]))
    found = text_difference("old.net", "new.net")
    assert found.moved == ["act (ReLU)", "x (Input)"] and not found.changed


def test_solvers_and_kinds_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.solver").write_text('net: "old.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 3')
    Path("b.solver").write_text('net: "old.net" base_lr: 0.2 lr_policy: "fixed"')
    assert main(["diff", "a.solver", "b.solver", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["fields"] == [
        {"field": "base_lr", "old": "0.1", "new": "0.2"},
        {"field": "max_iter", "old": "3", "new": None},
    ]
    assert main(["diff", "a.solver", "old.net"]) == 1
    assert capsys.readouterr().err == (
        "a.solver is a solver, and old.net is a net\n  expected two of one kind\n"
    )


def test_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    net = caffelite.Net("old.net", caffelite.TEST)
    net.params["ip"][0].data[...] = np.arange(12).reshape(4, 3)
    net.save("a.caffemodel")
    net.params["ip"][0].data[1, 2] += 0.5
    net.save("b.caffemodel")
    weight, bias = weight_difference("a.caffemodel", "b.caffemodel")
    assert (weight.largest, weight.scale, weight.mean) == (0.5, 11, 0.5 / 12)
    assert bias.same(0) and not weight.same(0.4) and weight.same(0.5)
    assert main(["diff", "a.caffemodel", "b.caffemodel"]) == 1
    assert capsys.readouterr().out == (
        "layer     shape  largest  of    mean\n"
        "------------------------------------\n"
        "ip     0  4x3        0.5  11  0.0417\n"
        "1 of 2 parameters are the same (4 values)\n"
    )
    assert main(["diff", "a.caffemodel", "b.caffemodel", "--tolerance", "0.5"]) == 0
    assert main(["diff", "a.caffemodel", "a.caffemodel", "--json"]) == 0


def test_parameters_that_are_not_comparable(capsys: pytest.CaptureFixture[str]) -> None:
    caffelite.Net("old.net", caffelite.TEST).save("a.caffemodel")
    write("num_output: 4", "num_output: 5 bias_term: false")
    net = caffelite.Net("new.net", caffelite.TEST)
    net.params["ip"][0].data[0, 0] = np.nan
    net.save("b.caffemodel")
    assert main(["diff", "a.caffemodel", "b.caffemodel"]) == 1
    out = capsys.readouterr().out
    assert "4x3 -> 5x3" in out and "only in the old file, 4" in out
    same = weight_difference("b.caffemodel", "b.caffemodel")
    assert same[0].same(0)
    capsys.readouterr()
    assert main(["diff", "a.caffemodel", "old.net"]) == 1
    assert "expected two texts, or two files of parameters" in capsys.readouterr().err
