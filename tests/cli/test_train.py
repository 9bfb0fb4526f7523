"""What a run shows, and what it leaves beside its snapshots."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from caffelite import get_solver
from caffelite.cli import main
from caffelite.cli.banner import banner
from caffelite.cli.live import LiveMonitor, Speed
from caffelite.cli.liveline import Part, bar, clock, fitted, rate
from caffelite.schema.solver import SolverParameter
from caffelite.solver.facts import Pace
from caffelite.solver.monitor import Monitor, Output

SOLVER = """
net: "two.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 40 test_iter: 4 test_interval: 20
display: 10 snapshot: 40 snapshot_prefix: "two" random_seed: 1
"""
NET = """
  name: "two"
  layer { name: "d" type: "SpiralData" top: "x" top: "label"
          spiral_data_param { classes: 2 samples_per_class: 10 batch_size: 5 } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.net").write_text(NET)
    Path("two.solver").write_text(SOLVER)


class TestLiveLine:
    PARTS = [Part("1/20"), Part("epoch 3", 2), Part("", 1), Part("loss 0.5", 1)]

    @pytest.mark.parametrize("width", [*range(0, 12), 14, 21, 22, 40, 200])
    def test_it_never_is_longer_than_the_terminal(self, width: int) -> None:
        assert len(fitted(self.PARTS, width)) <= width

    def test_columns_are_given_up_by_priority(self) -> None:
        assert fitted(self.PARTS, 23) == "1/20  epoch 3  loss 0.5"
        assert fitted(self.PARTS, 22) == "1/20  loss 0.5"
        assert fitted(self.PARTS, 13) == "1/20"
        assert fitted(self.PARTS, 3) == "1/2"

    def test_its_words(self) -> None:
        assert (
            bar(0, 10, 4) == "[    ]" and bar(10, 10, 4) == "[====]" and bar(5, 10, 4) == "[=>  ]"
        )
        assert [rate(x, "it") for x in (0, 0.5, 12345)] == ["", "0.50 it/s", "12,345 it/s"]
        assert [clock(x) for x in (3, 123, 3723)] == ["0:03", "2:03", "1:02:03"]

    def test_a_run_on_it(self) -> None:
        out = io.StringIO()
        monitor = LiveMonitor(SolverParameter(max_iter=1000), out)
        monitor.pace = Pace(20, 300)
        assert monitor.line(80) == ""
        scores = [Output("loss", np.array(0.25), 1.0), Output("accuracy", np.array(0.5))]
        monitor.on_test_batch(0, 3, 10)
        assert monitor.line(80).startswith("0/1,000  testing 3/10  [")
        monitor.on_test(0, 0, None, scores)
        monitor.on_display(0, 0.5, 0.1, scores[:1])
        monitor.on_iteration(149, 0.5, 0.1)
        monitor._speed._marks = [(time.perf_counter() - 10, 0)]
        line = monitor.line(140)
        assert line.startswith("150/1,000  [=>              ]  epoch 10.00  loss 0.5  lr 0.1")
        assert line.endswith("left  test accuracy 0.5  loss 0.25")
        for width in range(1, 120):
            assert len(monitor.line(width)) <= width
        assert "loss 0.5" in monitor.line(49) and "left" in monitor.line(49)
        # each fact once: the only loss of the net is not repeated
        assert out.getvalue() == (
            "       0  test: loss 0.25  accuracy 0.5\n       0  loss 0.5  lr 0.1\n"
        )

    def test_the_speed_of_slow_iterations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: now)
        speed = Speed(window=5)
        assert speed.at(0) == 0
        for now, done in ((10.0, 1), (11.0, 1), (19.0, 1), (20.0, 2), (29.0, 2)):  # noqa: B007
            assert speed.at(done) == 0.1

    def test_verbose_lines_are_those_of_a_pipe(self) -> None:
        out = io.StringIO()
        monitor = LiveMonitor(SolverParameter(max_iter=10), out, verbose=True)
        monitor.on_display(0, 0.5, 0.1, [Output("loss", np.array(0.5), 1.0)])
        assert "Train net output #0: loss = 0.5 (* 1 = 0.5 loss)" in out.getvalue()


def test_the_banner() -> None:
    solver = get_solver("two.solver", Monitor())
    assert banner(solver, ["two.jsonl"]) == [
        "net     two: 3 layers, 6 parameters",
        "data    d (SpiralData): x 5x2, label 5, 20 samples",
        "test    d (SpiralData): x 5x2, label 5, 20 samples, 4 batches a test",
        "solver  SGD, lr 0.1 fixed, 40 iterations (10 epochs)",
        "seed    1",
        "engine  numpy (a small net)",
        "writes  two_iter_*.caffemodel",
        "        two_iter_*.solverstate",
        "        two.jsonl",
    ]
    assert max(map(len, banner(solver, ["x.jsonl"], 40))) <= 40


def test_tests_are_followed_batch_by_batch() -> None:
    seen = []

    class Listener(Monitor):
        def on_test_batch(self, net: int, done: int, count: int) -> None:
            seen.append((net, done, count))

    get_solver("two.solver", Listener()).test_all()
    assert seen == [(0, i, 4) for i in (1, 2, 3, 4)]


def test_the_log_has_time_speed_and_epoch() -> None:
    assert main(["train", "two.solver", "-q"]) == 0
    records = [json.loads(line) for line in Path("two.jsonl").read_text().splitlines()]
    start, *rest = records
    assert (start["samples"], start["samples_per_iteration"], start["engine"]) == (20, 5, "numpy")
    train = [r for r in rest if r["event"] == "train"]
    assert [r["epoch"] for r in train] == [r["iteration"] / 4 for r in train]
    assert all(r["samples_per_second"] > 0 for r in train[1:])
    times = [r["time"] for r in rest if "time" in r]
    assert times == sorted(times)


def test_the_manifest() -> None:
    assert main(["train", "two.solver", "-q"]) == 0
    said = json.loads(Path("two.run.json").read_text())
    assert (said["outcome"], said["iterations"], said["seed"]) == ("done", 40, 1)
    assert said["engine"] == "numpy" and said["packages"]["numpy"] == np.__version__
    sums = {f["path"]: f["sha256"] for f in said["files"]}
    for name in ("two.solver", "two.net"):
        assert sums[name] == hashlib.sha256(Path(name).read_bytes()).hexdigest()
    assert main(["train", "two.solver", "-q", "--snapshot", "two_iter_40.solverstate"]) == 0
    said = json.loads(Path("two.run.json").read_text())
    assert said["first_iteration"] == 40 and "two_iter_40.solverstate" in {
        f["path"] for f in said["files"]
    }


def test_the_manifest_says_how_a_run_failed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("two.net").write_text(NET.replace('type: "xavier"', "value: 3e38"))
    assert main(["train", "two.solver"]) == 1
    said = json.loads(Path("two.run.json").read_text())
    assert said["outcome"].startswith("failed: SolverError: ")
    assert "Traceback" not in capsys.readouterr().err


def test_a_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in Path().iterdir())
    assert main(["train", "two.solver", "--dry-run"]) == 0
    out = capsys.readouterr().out
    for words in ("5x2", "one batch forward and backward: loss ", "time per step: ", "memory of "):
        assert words in out
    assert out.endswith("nothing was written\n")
    assert sorted(p.name for p in Path().iterdir()) == before


def test_quiet_and_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "two.solver", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["train", "two.solver", "-v"]) == 0
    out = capsys.readouterr().out
    assert re.search("\nip +InnerProduct ", out) and "Train net output #0: loss" in out
    assert main(["train", "two.solver", "-q", "-v"]) == 2


def test_a_snapshot_that_was_just_taken_is_not_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "spiral"]) == 0
    text = Path("spiral.solver").read_text().replace("snapshot: 1000", "snapshot: 2")
    Path("spiral.solver").write_text(text)
    solver = get_solver("spiral.solver")
    assert solver.saved() == ""
    solver.step(2)
    assert solver.saved() == "spiral_iter_2.solverstate" and Path(solver.saved()).exists()
    solver.step(1)
    assert solver.saved() == ""
