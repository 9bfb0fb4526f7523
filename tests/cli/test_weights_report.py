"""`caffelite train --weights`: fine-tuning, and the table that tells what was copied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite import Net
from caffelite.cli import main
from caffelite.schema.common import Phase
from caffelite.weights import Report, read_weights

LENET = Path(__file__).parents[1] / "reference" / "models" / "lenet_mnist8500.caffemodel"
Capture = pytest.CaptureFixture[str]

# LeNet's convolutions, then a score for each of 3 classes
NET = """
layer {{ name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param {{ shape {{ dim: 2 dim: 1 dim: 28 dim: 28 }} shape {{ dim: 2 }}
    data_filler {{ type: "gaussian" }} data_filler {{ type: "constant" value: 1 }} }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param {{ num_output: 20 kernel_size: 5 }} }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param {{ num_output: 50 kernel_size: 5 }} }}
layer {{ name: "{last}" type: "InnerProduct" bottom: "conv2" top: "score"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }}
"""
SOLVER = 'net: "tune.net" base_lr: 0 lr_policy: "fixed" max_iter: 1 random_seed: 1 '


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    prepare("classes3")
    return tmp_path


def prepare(last: str) -> None:
    """A net whose last layer has this name, and its solver, in the current folder."""
    Path("tune.net").write_text(NET.format(last=last))
    Path("tune.solver").write_text(
        SOLVER + 'snapshot_prefix: "tuned" snapshot_after_train: true snapshot: 100'
    )


def train(weights: str, *flags: str) -> int:
    return main(["train", "--solver", "tune.solver", "--weights", weights, *flags])


def test_fine_tuning_copies_by_name_and_tells(tune: Path, capsys: Capture) -> None:
    assert train(str(LENET)) == 0
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "copied        2  conv1, conv2" in said
    assert "skipped       2  ip1, ip2 (only in the file)" in said
    assert "missing       1  classes3 (only in the net, left as they are)" in said
    assert not any(line.startswith("mismatched") for line in said)
    old, new = read_weights(LENET), read_weights("tuned_iter_1.caffemodel")
    for layer in ("conv1", "conv2"):
        for a, b in zip(old[layer], new[layer]):
            np.testing.assert_array_equal(a, b)


def test_another_shape_is_an_error_that_names_both(tune: Path, capsys: Capture) -> None:
    prepare("ip2")
    assert train(str(LENET)) == 1
    said = capsys.readouterr().err
    assert 'layer "ip2" does not fit' in said
    assert "(10, 500) in the file" in said
    assert "(3, 3200) in the net" in said
    assert "--skip-mismatch" in said
    assert not Path("tuned_iter_1.caffemodel").exists()


def test_skip_mismatch_leaves_such_layers_and_shows_them(tune: Path, capsys: Capture) -> None:
    prepare("ip2")
    assert train(str(LENET), "--skip-mismatch") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "copied 2 conv1, conv2 skipped 1 ip1" in said
    assert "mismatched 1 ip2: parameter 0 is (10, 500) in the file, (3, 3200) in the net" in said
    assert read_weights("tuned_iter_1.caffemodel")["ip2"][0].shape == (3, 3200)


def test_nothing_copied_is_an_error(tune: Path, capsys: Capture) -> None:
    text = Path("tune.net").read_text().replace("conv1", "c1").replace("conv2", "c2")
    Path("tune.net").write_text(text)
    assert train(str(LENET)) == 1
    said = capsys.readouterr().err
    assert "nothing was copied" in said
    assert '"c1"' in said
    assert '"conv1"' in said


def test_several_files_are_copied_in_turn_each_with_its_table(tune: Path, capsys: Capture) -> None:
    assert train(str(LENET)) == 0
    capsys.readouterr()
    assert train(f"{LENET},tuned_iter_1.caffemodel") == 0
    said = capsys.readouterr().out
    assert said.index(f"{LENET}:") < said.index("tuned_iter_1.caffemodel:")
    assert "copied        3  conv1, conv2, classes3" in said


def test_a_table_of_a_deep_net_keeps_its_columns_within_80() -> None:
    report = Report(copied=[f"res{i}_branch2a" for i in range(40)], missing=["fc"])
    why = "parameter 0 is (1000, 2048) in the file, (37, 2048) in the net"
    report.mismatched = {"fc1000_weights_of_the_first_net": why, "b": why}
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 76  # shown with 4 blanks in front
    words = [line[:17].split() for line in lines]
    assert [word for word in words if word] == [
        ["copied", "40"],
        ["missing", "1"],
        ["mismatched", "2"],
    ]
    assert all(line[16] == " " and line[17] != " " for line in lines)
    assert sum(line.count("res") for line in lines) == 40


def test_the_net_of_the_test_is_lenets_beginning(tune: Path) -> None:
    net = Net("tune.net", Phase.TRAIN)
    assert [blob.data.shape for blob in net.params["conv2"]] == [(50, 20, 5, 5), (50,)]
