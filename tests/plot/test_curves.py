"""Logs of both kinds are read exactly, and become pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caffelite.errors import CaffeliteError
from caffelite.plot.curves import draw_curves
from caffelite.plot.logs import Log, read_log
from caffelite.plot.pictures import PNG, save_png

GLOG = """\
I0102 12:30:01.123456  4242 solver.cpp:60] Solver scaffolding done.
I0102 12:30:01.123456  4242 solver.cpp:347] Iteration 0, Testing net (#0)
I0102 12:30:01.123456  4242 solver.cpp:414]     Test net output #0: accuracy = 0.11
I0102 12:30:01.123456  4242 solver.cpp:414]     Test net output #1: loss = 2.4 (* 1 = 2.4 loss)
I0102 12:30:01.123456  4242 solver.cpp:414]     Test net output #2: each = 0.1
I0102 12:30:01.123456  4242 solver.cpp:414]     Test net output #3: each = 0.2
I0102 12:30:02.123456  4242 solver.cpp:239] Iteration 0 (0 iter/s, 0.2s/100 iters), loss = 2.31
I0102 12:30:02.123456  4242 solver.cpp:258]     Train net output #0: loss = 2.5 (* 1 = 2.5 loss)
I0102 12:30:02.123456  4242 sgd_solver.cpp:112] Iteration 0, lr = 0.01
I20240102 12:30:03.123456  4242 solver.cpp:239] Iteration 100, loss = 1.5e-05
I20240102 12:30:03.123456  4242 sgd_solver.cpp:112] Iteration 100, lr = 0.00992565
I20240102 12:30:03.123456  4242 solver.cpp:347] Iteration 200, Testing net (#0)
    Test net output #0: accuracy = 0.5
    Test net output #1: loss = 1 (* 1 = 1 loss)
I20240102 12:30:03.123456  4242 solver.cpp:347] Iteration 200, Testing net (#1)
    Test net output #0: accuracy = 0.25
"""

PLAIN = """\
SGD on spiral: 5 layers, 603 parameters, seed 1
Iteration 0, Testing net (#0)
    Test net output #0: loss = 0.974555 (* 1 = 0.974555 loss)
    Test net output #1: accuracy = 0.476667
Iteration 0, loss = 1.07214, lr = 0.1
    Train net output #0: loss = 1.07214 (* 1 = 1.07214 loss)
Iteration 500, loss = 0.0692056, lr = 0.05
    Train net output #0: loss = 0.00911222 (* 1 = 0.00911222 loss)
Snapshot: spiral_iter_1000.caffemodel, spiral_iter_1000.solverstate
1000 iterations in 0.36 s (8,369 a second)
"""


def start(iteration: int, seed: int = 7) -> dict:
    return {"event": "start", "iteration": iteration, "seed": seed}


def train(iteration: int, loss: float, rate: float = 0.1) -> dict:
    return {"event": "train", "iteration": iteration, "loss": loss, "lr": rate, "outputs": {}}


def test_of(iteration: int, net: int = 0, **outputs: object) -> dict:
    return {"event": "test", "iteration": iteration, "net": net, "outputs": outputs}


test_of.__test__ = False  # type: ignore[attr-defined]


def read(folder: Path, text: str | list[dict]) -> Log:
    path = folder / "run.log"
    if not isinstance(text, str):
        text = "".join(json.dumps(record) + "\n" for record in text)
    path.write_text(text)
    return read_log(path)


def test_caffes_log(tmp_path: Path) -> None:
    log = read(tmp_path, GLOG)
    assert log.loss.values == {0: 2.31, 100: 1.5e-05}
    assert log.rate.values == {0: 0.01, 100: 0.00992565}
    assert {key: curve.values for key, curve in log.outputs.items()} == {
        ("test", 0, "accuracy"): {0: 0.11, 200: 0.5},
        ("test", 0, "loss"): {0: 2.4, 200: 1},
        ("train", 0, "loss"): {0: 2.5},
        ("test", 1, "accuracy"): {200: 0.25},
    }
    assert not log.resumed and log.seed is None


def test_what_caffelite_prints(tmp_path: Path) -> None:
    log = read(tmp_path, PLAIN)
    assert log.loss.values == {0: 1.07214, 500: 0.0692056}
    assert log.rate.values == {0: 0.1, 500: 0.05}
    assert log.outputs["test", 0, "accuracy"].values == {0: 0.476667}
    assert log.outputs["train", 0, "loss"].values == {0: 1.07214, 500: 0.00911222}


def test_json_lines(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        [
            start(0),
            test_of(0, loss=1.1, accuracy=0.3, each=[0.2, 0.4], one=[0.7]),
            train(0, 1.2),
            train(10, 0.5, 0.05),
            {"event": "snapshot", "model": "a", "state": "b"},
            test_of(20, 1, accuracy=0.9),
        ],
    )
    assert log.seed == 7
    assert log.loss.values == {0: 1.2, 10: 0.5}
    assert log.rate.values == {0: 0.1, 10: 0.05}
    assert {key: curve.values for key, curve in log.outputs.items()} == {
        ("test", 0, "loss"): {0: 1.1},
        ("test", 0, "accuracy"): {0: 0.3},
        ("test", 0, "one"): {0: 0.7},
        ("test", 1, "accuracy"): {20: 0.9},
    }


def test_a_resumed_run_replaces_what_it_does_anew(tmp_path: Path) -> None:
    first = [start(0), train(0, 3), train(10, 2), test_of(10, loss=2.5), train(20, 1), train(30, 9)]
    log = read(tmp_path, [*first, start(20), train(20, 1.5), train(30, 1.25), test_of(30, loss=1)])
    assert log.loss.values == {0: 3, 10: 2, 20: 1.5, 30: 1.25}
    assert log.outputs["test", 0, "loss"].values == {10: 2.5, 30: 1}
    assert log.resumed == [20]
    log = read(tmp_path, [*first, start(20), train(20, 1.5), start(10), train(10, 4)])
    assert log.loss.values == {0: 3, 10: 4}
    assert log.resumed == [10]
    log = read(tmp_path, [*first, start(0), train(0, 5)])
    assert log.loss.values == {0: 5}
    assert log.resumed == []


def test_a_resumed_run_in_text(tmp_path: Path) -> None:
    lines = [f"Iteration {i}, loss = {v}, lr = 0.1" for i, v in [(0, 3), (10, 2), (20, 1), (10, 5)]]
    log = read(tmp_path, "\n".join(lines))
    assert log.loss.values == {0: 3, 10: 5}
    assert log.resumed == [10]


def test_a_line_that_breaks_off_at_the_end_is_passed_over(tmp_path: Path) -> None:
    whole = json.dumps(start(0)) + "\n" + json.dumps(train(0, 1.5)) + "\n"
    assert read(tmp_path, whole + '{"event": "tr').loss.values == {0: 1.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no losses and no test results"),
        ("hello\n", "no losses"),
        ('{"event": "start", "iteration": 0, "seed": 1}\n', "no losses"),
        ('{"event": "tr\n{"event": "snapshot"}\n', r"run\.log:1:11: not JSON"),
        ('{"event": "train", "iteration": 0}\n', r"run\.log:1: not a record"),
        ("{}\n", r"run\.log:1: not a record"),
        ('{"event": "snapshot"}\n[1]\n', r"run\.log:2: not a record"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CaffeliteError, match=message):
        read(tmp_path, text)


def test_a_missing_log(tmp_path: Path) -> None:
    with pytest.raises(CaffeliteError, match="no such file"):
        read_log(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "records",
    [
        GLOG,
        PLAIN,
        [train(0, 1.0)],
        [test_of(0, accuracy=1.0)],
        [train(0, 1.0), train(5, float("nan")), test_of(5, loss=float("inf"))],
        [train(i, -i, 0.0) for i in range(100)],
    ],
)
def test_each_log_becomes_a_picture(tmp_path: Path, records: str | list[dict]) -> None:
    save_png(draw_curves(read(tmp_path, records), "a run"), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_the_lines_are_the_values(tmp_path: Path) -> None:
    log = read(tmp_path, [train(0, 3, 0.5), train(10, 2), test_of(10, loss=1.5, accuracy=0.75)])
    loss, accuracy, rate = draw_curves(log, "a run").axes
    lines = [list(zip(*line.get_data())) for line in loss.lines]
    assert lines == [[(0, 3), (10, 2)], [(10, 1.5)]]
    assert [t.get_text() for t in loss.texts if "train" in t.get_text()] == ["train 2"]
    assert list(zip(*accuracy.lines[0].get_data())) == [(10, 0.75)]
    assert list(rate.lines[0].get_ydata()) == [0.5, 0.1]
