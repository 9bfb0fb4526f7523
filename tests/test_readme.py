"""What the README shows is what happens."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite import gradcheck
from caffelite.cli import main
from caffelite.files import parse_net
from caffelite.layers import registry
from caffelite.testing import check_layer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(containing: str) -> str:
    """The one code block of the README that contains a text."""
    blocks = [b for b in re.findall(r"^```\w*\n(.*?)^```", README, re.M | re.S) if containing in b]
    assert len(blocks) == 1, containing
    return blocks[0]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the nets and solvers, to work in."""
    for name in ("nets", "solvers"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tour_of_the_language_is_a_net_of_both_phases() -> None:
    net = parse_net(block('name: "tiny"'))
    assert list(caffelite.Net(net, caffelite.TRAIN).layer_dict) == ["x", "ip", "act", "drop"]
    assert list(caffelite.Net(net, caffelite.TEST).layer_dict) == ["x", "ip", "act"]
    assert len(block('name: "tiny"').splitlines()) == 10


def test_the_excerpt_is_from_the_spiral_net() -> None:
    assert block("hidden units: with 10").strip() in (ROOT / "nets" / "spiral.net").read_text()


def test_the_mistake_is_told_as_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = project / "nets" / "spiral.net"
    net.write_text(net.read_text().replace('"ReLU"', '"Relu"'))
    assert main(["check", "nets/spiral.net"]) == 1
    captured = capsys.readouterr()
    command, _, shown = block("$ caffelite check").partition("\n")
    assert command == "$ caffelite check nets/spiral.net"
    assert captured.out + captured.err == shown


def test_the_main_job_and_the_python_example(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--solver", "solvers/spiral.solver"]) == 0
    names: dict[str, object] = {}
    exec(compile(block("import caffelite as caffe"), "README", "exec"), names)
    net = names["net"]
    assert isinstance(net, caffelite.Net)
    assert net.blobs["hidden"].data.shape == (20, 100)
    assert net.params["ip1"][0].data.shape == (100, 2)
    assert (project / "mine.caffemodel").exists()
    capsys.readouterr()
    weights = "spiral_iter_3000.caffemodel"
    assert main(["test", "--model", "nets/spiral.net", "--weights", weights]) == 0
    assert float(capsys.readouterr().out.rsplit("accuracy = ")[-1]) >= 0.99


def test_a_layer_of_ones_own(project: Path) -> None:
    (project / "my_layers.py").write_text(block("class Square"))
    text = (project / "nets" / "spiral.net").read_text().replace('"ReLU"', '"Square"')
    (project / "nets" / "spiral.net").write_text(text)
    try:
        arguments = ["check", "--plugin", "my_layers.py", "nets/spiral.net"]
        assert main(arguments) == 0
        net = parse_net(
            'force_backward: true layer { name: "x" type: "Input" top: "x" '
            "input_param { shape { dim: 2 dim: 3 } } }"
            'layer { name: "s" type: "Square" bottom: "x" top: "y" }'
        )
        square = caffelite.Net(net, caffelite.TRAIN, dtype=np.float64, seed=1)
        square.blobs["x"].data[...] = [[1, 2, 3], [-1, 0.5, 4]]
        assert square.forward()["y"].tolist() == [[1, 4, 9], [1, 0.25, 16]]
        assert all(result.ok for result in gradcheck.check(square))
        skips = [skip.promise for skip in check_layer("Square")]
        assert skips == ["in_place_is_the_same", "fresh_gradients_are_written"]
    finally:
        registry.pop("Square", None)
