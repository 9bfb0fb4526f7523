"""A net with a layer of an unknown type is shown as far as its shapes are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caffelite.cli import main

NET = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "warp" type: "FlowWarp" bottom: "conv" top: "warp" }
layer { name: "own" type: "OneOfItsOwn" bottom: "conv" top: "conv" }
layer { name: "behind" type: "ReLU" bottom: "warp" top: "warp" }
layer { name: "other" type: "InnerProduct" bottom: "data" top: "warp2"
  inner_product_param { num_output: 5 } }
layer { name: "last" type: "Concat" bottom: "conv" bottom: "warp2" top: "last" }
"""


def summary(folder: Path, text: str, *options: str) -> int:
    path = folder / "u.net"
    path.write_text(text)
    return main(["summary", str(path), *options])


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(tmp_path, NET) == 0
    out = capsys.readouterr().out
    rows = out[out.rindex("input ") : out.rindex("7 layers")].splitlines()[:-1]
    shapes = {line.split()[0]: line.split()[2] for line in rows}
    assert shapes.pop("input") == "1x3x8x8"
    assert shapes == {
        "conv": "1x4x6x6",
        "warp": "?",
        "own": "?",
        "behind": "?",
        "other": "1x5",
        "last": "?",
    }
    assert "7 layers" in out
    assert "FlowWarp, of FlowNet 2's fork (lmb-freiburg); OneOfItsOwn" in out


def test_the_other_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(tmp_path, NET, "--csv") == 0
    assert "warp,FlowWarp,warp,?,0,0,0,0" in capsys.readouterr().out
    assert summary(tmp_path, NET, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][2]["tops"] == [["warp", None]]
    assert found["unknown"][1] == "OneOfItsOwn"


def test_nothing_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = 'layer { name: "a" type: "Nothing" top: "x" } layer { name: "b" type: "ReLU" '
    assert summary(tmp_path, lines + 'bottom: "x" top: "x" }') == 1
    assert 'unknown layer type "Nothing"' in capsys.readouterr().err
