"""caffelite summary: the forms of the table, and nets whose data are missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caffelite.cli import main

ROOT = Path(__file__).parents[2]
SPIRAL = str(ROOT / "nets" / "spiral.net")
LENET = str(ROOT / "nets" / "lenet.net")


def test_a_pipe_gets_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", SPIRAL]) == 0
    assert capsys.readouterr().out == (
        "spiral TEST\n\n"
        "layer     type             top              parameters  mult-adds  inference  training\n"
        + "-"
        * 86
        + "\n"
        "points    SpiralData       20x2, 20                                    240 B     240 B\n"
        "ip1       InnerProduct     20x100                  300        4 k    7.81 KB   15.6 KB\n"
        "relu1     ReLU             20x100 in place\n"
        "ip2       InnerProduct     20x3                    303        6 k      240 B     480 B\n"
        "loss      SoftmaxWithLoss  1                                             4 B       8 B\n"
        "accuracy  Accuracy         1                                             4 B       4 B\n"
        + "-"
        * 86
        + "\n"
        "6 layers                                           603       10 k    10.5 KB   23.4 KB\n"
    )


def test_json_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", SPIRAL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["parameters"] == 603
    assert main(["summary", SPIRAL, "--csv"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[2] == "ip1,InnerProduct,hidden,20x100,300,4000,8000,16000"
    assert main(["summary", SPIRAL, "--csv", "--json"]) == 2


def test_data_that_are_missing_can_be_done_without(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["summary", LENET]) == 1
    assert capsys.readouterr().err.endswith(
        "  `caffelite data mnist data/mnist` downloads it; or do without: --shape data=NxCxHxW\n"
    )
    assert main(["summary", LENET, "--shape", "data=64x1x28x28"]) == 0
    out = capsys.readouterr().out
    assert "DummyData        64x1x28x28, 64" in out and "431,080" in out
    assert main(["summary", LENET, "--stage", "deploy"]) == 0
    assert "prob" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("data", '--shape "data" is no shape of a blob\n  expected a name and extents of 1 or '
         "more, --shape data=64x1x28x28"),
        ("dat=4x2", 'no data layer makes a blob "dat"\n  expected one of data, label\n  '
         'did you mean "data"?'),
    ],
)  # fmt: skip
def test_wrong_shapes_are_explained(
    shape: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", SPIRAL, "--shape", shape]) == 1
    assert capsys.readouterr().err == said + "\n"


def test_a_net_of_mistakes_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = tmp_path / "f.net"
    net.write_text('layer { name: "r" type: "Relu" }')
    assert main(["summary", str(net)]) == 1
    assert 'did you mean "ReLU"?' in capsys.readouterr().err
