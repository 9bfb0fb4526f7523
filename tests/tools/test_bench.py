"""tools/bench.py: it runs, the contenders compute the same, and its JSON says what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--repeat", "1", "--steps", "5", "--json", "-")


def bench(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "bench.py"), *QUICK, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def spiral() -> dict[str, Any]:
    done = bench()
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_both_passes_of_the_spiral_are_measured(spiral: dict[str, Any]) -> None:
    assert spiral["threads"] == 2
    assert [r["pass"] for r in spiral["results"]] == ["train", "forward"]
    for result in spiral["results"]:
        assert result["inputs"] == {"data": [20, 2], "label": [20]}
        assert result["parameters"] == 2 * 100 + 100 + 100 * 3 + 3
        assert [c["name"] for c in result["contenders"]][:2] == ["caffelite", "NumPy by hand"]
        for contender in result["contenders"]:
            assert contender["steps"] == 5
            assert contender["median_us"] >= contender["min_us"] > 0
            assert contender["peak_mb"] is None or contender["peak_mb"] > 1
        assert all(r["of"] == "caffelite" and r["median"] > 0 for r in result["ratios"])


def test_who_is_compared_computes_the_same_losses(spiral: dict[str, Any]) -> None:
    for result in spiral["results"]:
        assert all(c["difference"] < 1e-5 for c in result["contenders"])


def test_data_layers_are_replaced_by_random_inputs(tmp_path: Path) -> None:
    net = tmp_path / "digits.net"
    net.write_text(
        """
        layer { name: "in" type: "Data" top: "data" top: "label"
                transform_param { crop_size: 8 force_gray: true }
                data_param { source: "no such place" batch_size: 4 } }
        layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
                convolution_param { num_output: 2 kernel_size: 3
                                    weight_filler { type: "xavier" } } }
        layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
        layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
                inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }
        """
    )
    done = bench(str(net), "--batch", "2", "--train-only")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["inputs"] == {"data": [2, 1, 8, 8], "label": [2]}
    assert any(note.startswith("NumPy by hand is left out") for note in result["notes"])
    assert all(c["difference"] < 1e-5 for c in result["contenders"])


def test_a_net_that_cannot_be_built_is_an_error_with_its_place(tmp_path: Path) -> None:
    net = tmp_path / "bad.net"
    net.write_text('layer { name: "a" type: "Relu" bottom: "x" top: "y" }')
    done = bench(str(net))
    assert done.returncode == 1
    assert "bad.net:1" in done.stderr and "ReLU" in done.stderr
    assert "Traceback" not in done.stderr
