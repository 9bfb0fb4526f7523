"""caffelite deploy: what is written can be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main

NETS = Path(__file__).parents[2] / "nets"
LENET = str(NETS / "lenet.net")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_deploy_net_predicts_what_the_training_net_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = str(NETS / "spiral.net")
    assert main(["deploy", source, "d.net"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "d.net: data (20x2) to prob (20x3)"
    trained = caffelite.Net(source, caffelite.TEST, seed=3)
    trained.save("w.caffemodel")
    trained.forward()
    net = caffelite.Net("d.net", "w.caffemodel", caffelite.TEST)
    prob = net.forward(data=trained.blobs["data"].data)["prob"]
    score = np.exp(trained.blobs["score"].data)
    np.testing.assert_allclose(prob, score / score.sum(1, keepdims=True), rtol=1e-5)


def test_the_batch_and_the_preparation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", LENET, "d.net", "--shape", "data=64x1x28x28", "--batch", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "d.net: data (1x1x28x28) to prob (1x10)"
    assert (
        Path("d.net")
        .read_text()
        .startswith(
            "# The deploy form of lenet.net.\n"
            '# In training the samples of "data" were prepared like this:\n'
            "#   scale: 0.00390625\n"
            'name: "LeNet"\n'
        )
    )
    assert main(["check", "d.net"]) == 0


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ["--shape", "data=64x1x28x28"]
    assert main(["deploy", LENET, "d.net"]) == 1
    assert "--shape data=NxCxHxW" in capsys.readouterr().err
    assert main(["deploy", LENET, "d.net", *shape, "--batch", "0"]) == 1
    assert capsys.readouterr().err == "a batch of 0\n  expected 1 or more\n"
    assert not Path("d.net").exists()
    Path("d.net").write_text("mine")
    assert main(["deploy", LENET, "d.net", *shape]) == 1
    assert Path("d.net").read_text() == "mine"
    assert main(["deploy", LENET, "d.net", *shape, "--force"]) == 0
    assert Path("d.net").read_text() != "mine"
