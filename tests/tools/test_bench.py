"""tools/bench.py: it runs, the contenders compute the same, and its JSON says what was measured."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--repeat", "1", "--steps", "2", "--json", "-")
HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
DIGITS = """
    layer { name: "in" type: "Data" top: "data" top: "label"
            transform_param { crop_size: 8 force_gray: true }
            data_param { source: "no such place" batch_size: 4 } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
            convolution_param { num_output: 2 kernel_size: 3
                                weight_filler { type: "xavier" } } }
    layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" }
    layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool"
            pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
    layer { name: "relu" type: "ReLU" bottom: "pool" top: "pool" }
    layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
    layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
            param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
            inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }
"""


def bench(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "bench.py"), *args]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)


def report(*args: str) -> dict[str, Any]:
    done = bench(*QUICK, *args)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def spiral() -> dict[str, Any]:
    return report("--contenders", "numpy,hand")


@pytest.fixture
def digits(tmp_path: Path) -> str:
    net = tmp_path / "digits.net"
    net.write_text(DIGITS)
    return str(net)


def test_both_passes_of_the_spiral_are_measured(spiral: dict[str, Any]) -> None:
    assert [r["pass"] for r in spiral["results"]] == ["train", "forward"]
    for result in spiral["results"]:
        assert result["inputs"] == {"data": [20, 2], "label": [20]}
        assert result["parameters"] == 2 * 100 + 100 + 100 * 3 + 3
        assert (result["batch"], result["figure"], result["threads"]) == (20, "wall", 2)
        assert [c["name"] for c in result["contenders"]] == ["caffelite numpy", "NumPy by hand"]
        for contender in result["contenders"]:
            assert contender["steps"] == 2
            assert contender["median_us"] >= contender["min_us"] > 0
            assert contender["cpu_us"] > 0
            assert contender["peak_mb"] is None or contender["peak_mb"] > 1
        (ratio,) = result["ratios"]
        assert (ratio["of"], ratio["to"]) == ("caffelite numpy", "NumPy by hand")
        ours, theirs = (c["median_us"] for c in result["contenders"])
        assert ratio["median"] == pytest.approx(ours / theirs)


def test_who_is_compared_computes_the_same_losses(spiral: dict[str, Any]) -> None:
    for result in spiral["results"]:
        assert all(c["difference"] < 1e-5 for c in result["contenders"])
        assert result["notes"] == []


def test_the_report_says_where_and_when_it_was_made(spiral: dict[str, Any]) -> None:
    machine = spiral["machine"]
    assert machine["cpu"] and machine["cores"] >= machine["usable_cores"] >= 1
    assert machine["date"].startswith("20")
    contender = spiral["results"][0]["contenders"][0]
    assert set(contender["versions"]) == {"caffelite", "numpy"}


def test_data_layers_are_replaced_by_random_inputs(digits: str) -> None:
    found = report(digits, "--batch", "2", "--train-only", "--contenders", "numpy,hand")
    (result,) = found["results"]
    assert result["inputs"] == {"data": [2, 1, 8, 8], "label": [2]}
    assert any(note.startswith("NumPy by hand is left out") for note in result["notes"])


@needs_torch
def test_pytorch_computes_the_same_in_both_memory_orders(digits: str) -> None:
    found = report(digits, "--train-only", "--contenders", "numpy,pytorch,channels-last")
    (result,) = found["results"]
    names = [c["name"] for c in result["contenders"]]
    assert names == ["caffelite numpy", "PyTorch", "channels-last"]
    assert all(c["difference"] < 1e-5 for c in result["contenders"])


@needs_torch
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")),
    reason="onnx or onnxruntime is not installed",
)
def test_pytorch_and_onnx_runtime_put_out_the_same(digits: str) -> None:
    (result,) = report(digits, "--forward-only", "--contenders", "numpy,pytorch,ort")["results"]
    assert [c["key"] for c in result["contenders"]] == ["numpy", "pytorch", "ort"]
    assert all(c["difference"] < 1e-5 for c in result["contenders"])


@pytest.mark.skipif(HAS_TORCH, reason="PyTorch is installed")
def test_without_pytorch_its_contenders_are_left_out_with_the_reason() -> None:
    (result,) = report("--train-only", "--contenders", "numpy,pytorch")["results"]
    assert [c["key"] for c in result["contenders"]] == ["numpy"]
    assert "PyTorch is not installed" in result["notes"][0]


def test_a_net_without_a_loss_is_trained_with_one(tmp_path: Path) -> None:
    net = tmp_path / "scores.net"
    net.write_text(
        """
        layer { name: "data" type: "Input" top: "data"
                input_param { shape { dim: 1 dim: 4 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
                inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
        layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
        """
    )
    found = report(str(net), "--batch", "3", "--contenders", "numpy")
    inputs = [result["inputs"] for result in found["results"]]
    assert inputs == [{"label": [3], "data": [3, 4]}, {"data": [3, 4]}]


def test_beside_a_busy_core_each_engine_runs_on_one_thread_too() -> None:
    (result,) = report("--train-only", "--contenders", "numpy", "--beside")["results"]
    assert [c["threads"] for c in result["contenders"]] == [2, 1]
    assert {(r["of"], r["to"]) for r in result["ratios"]} == {
        ("caffelite numpy", "caffelite numpy, 1 thread"),
        ("caffelite numpy, 1 thread", "caffelite numpy"),
    }


def test_growth_with_the_batch_has_an_exponent_and_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "grow.png"
    found = report(
        *("--grow", "batch", "--batch", "2,40", "--cpu", "--train-only"),
        *("--contenders", "numpy", "--plot", str(picture)),
    )
    (curve,) = found["growth"]
    (line,) = curve["lines"]
    assert line["sizes"] == [2, 40] and all(s > 0 for s in line["seconds"])
    assert isinstance(line["exponent"], float)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_chain_lives_and_every_stage_of_it_has_a_cost() -> None:
    found = report("--grow", "depth", "--sizes", "2,8", "--contenders", "numpy")
    (curve,) = found["growth"]
    assert [line["name"] for line in curve["lines"]] == [
        *("read", "build", "first pass", "pass", "free")
    ]
    assert all(line["sizes"] == [2, 8] for line in curve["lines"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a peak")
def test_memory_is_beside_what_it_may_be() -> None:
    found = report("--memory", "spiral", "--contenders", "numpy")
    (row,) = found["memory"]
    assert (row["net"], row["engine"], row["batch"]) == ("spiral", "numpy", 20)
    assert row["parameters_mb"] == pytest.approx(603 * 4 / 1e6)
    # ip2 reads 20 x 100 numbers and writes 20 x 3
    assert row["pair"] == ["hidden", "score"]
    assert row["pair_mb"] == pytest.approx(20 * 103 * 4 / 1e6)
    assert row["allowed_mb"] == pytest.approx((603 + 1.5 * 20 * 103) * 4 / 1e6)
    assert row["within"] == (max(row["build_mb"], row["forward_mb"]) <= row["allowed_mb"])


def test_the_table_fits_a_terminal_and_the_bars_are_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "bars.png"
    done = bench(*("--repeat", "1", "--steps", "1", "--plot", str(picture)), "--contenders=numpy")
    assert done.returncode == 0, done.stderr
    assert "training step" in done.stdout and "inference" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_net_that_cannot_be_built_is_an_error_with_its_place(tmp_path: Path) -> None:
    net = tmp_path / "bad.net"
    net.write_text('layer { name: "a" type: "Relu" bottom: "x" top: "y" }')
    done = bench(*QUICK, str(net))
    assert done.returncode == 1
    assert "bad.net:1" in done.stderr and "ReLU" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["resnet"], "resnet is resnet18, resnet50"),
        (["nosuch"], "no net nosuch"),
        (["--contenders", "numpy,abacus"], "no contender abacus"),
        (["--batch", "0"], "--batch 0"),
        (["--memory", "--cpu"], "--memory has no times"),
        (["--grow", "depth", "lenet"], "--grow depth makes its own nets"),
        (["--sizes", "10"], "--sizes is for --grow depth"),
        (["--plot", "out.txt"], "ends in .png"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(args: list[str], message: str) -> None:
    done = bench(*args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
