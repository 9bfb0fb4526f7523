"""Early stopping and keep-best."""

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.errors import SolverError
from caffelite.layers import registry
from caffelite.solver import Solver

from .made import Notes, make, parameters, spiral

BASE = """
base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 1 max_iter: 100
test_interval: 10 snapshot_after_train: false
"""


def scripted(solver: Solver, values: list[float], name: str = "accuracy") -> None:
    """Make the tests find these values, the first before the first iteration."""

    def test_all() -> list[dict[str, np.ndarray]]:
        assert solver.iter % 10 == 0
        value = values[solver.iter // 10]
        return [{"accuracy": np.array(0.5), "loss": np.array(1.0), name: np.array(value)}]

    solver.test_all = test_all  # type: ignore[method-assign]


def run(folder: Path, text: str, values: list[float], name: str = "accuracy") -> Solver:
    solver = make(folder, f'{BASE} watch: "{name}" {text}', spiral(), monitor=Notes())
    scripted(solver, values, name)
    solver.solve()
    return solver


@pytest.mark.parametrize(
    "text, values, stops",
    [
        ("patience: 2", [0.1, 0.2, 0.3, 0.3, 0.2], 40),
        ("patience: 2", [0.1, 0.2, 0.15, 0.3, 0.3, 0.2], 50),
        ("patience: 1", [0.5, 0.5], 10),
        # better, but never by enough
        ("patience: 3 min_delta: 0.05", [0.1, 0.12, 0.14, 0.15], 30),
        # small steps add up
        ("patience: 3 min_delta: 0.05", [0.1, 0.14, 0.16, 0.17, 0.18, 0.20], 50),
        ("patience: 2 watch_mode: LOWER", [0.5, 0.4, 0.3, 0.35, 0.3], 40),
        ("patience: 2", [float("nan"), float("nan")], 10),
        ("patience: 2 test_initialization: false", [9.0, 0.1, 0.1, 0.1], 30),
        ("patience: 9", [0.0] * 9 + [1.0] + [0.0], 100),
        ("keep_best: true", [0.0] * 11, 100),
    ],
)
def test_a_run_stops_when_it_has_waited_enough(
    tmp_path: Path, text: str, values: list[float], stops: int
) -> None:
    solver = run(tmp_path, text, values)
    assert solver.iter == stops
    said = [note for note in solver.monitor.notes if "stopping early" in note]
    assert bool(said) == (stops < 100)


def test_lower_is_better_for_a_loss(tmp_path: Path) -> None:
    solver = run(tmp_path, "patience: 1", [0.5, 0.4, 0.6], "loss")
    assert (solver.iter, solver.watch.best, solver.watch.best_iter) == (20, 0.4, 10)


def test_a_run_that_stops_early_takes_its_last_snapshot(tmp_path: Path) -> None:
    text = BASE.replace("false", "true") + 'watch: "accuracy" patience: 1'
    solver = make(tmp_path, text, spiral(), monitor=Notes())
    scripted(solver, [0.5, 0.5])
    solver.solve()
    assert (tmp_path / "run_iter_10.solverstate").exists()


def test_the_best_is_kept(tmp_path: Path) -> None:
    solver = make(tmp_path, f'{BASE} watch: "accuracy" keep_best: true', spiral(), monitor=Notes())
    scripted(solver, [0.1, 0.3, 0.2, 0.6, 0.6, 0.5])
    at: dict[int, np.ndarray] = {}
    solver.add_callback(lambda: at.setdefault(solver.iter, parameters(solver)), lambda: None)
    solver.step(55)
    net = caffelite.Net(str(tmp_path / "n.net"), str(tmp_path / "run_best.caffemodel"), 1)
    kept = np.concatenate([b.data.ravel() for blobs in net.params.values() for b in blobs])
    assert np.array_equal(kept, at[30])
    assert (solver.watch.best, solver.watch.best_iter) == (0.6, 30)
    assert [n for n in solver.monitor.notes if "best" in n] == [
        f"the best accuracy so far, {value}, is kept in {tmp_path}/run_best.caffemodel"
        for value in (0.1, 0.3, 0.6)
    ]


def test_the_kept_parameters_reach_the_best_accuracy(tmp_path: Path) -> None:
    text = BASE.replace("random_seed: 1", "random_seed: 4") + 'watch: "accuracy" keep_best: true'
    solver = make(tmp_path, text, spiral("shuffle: false"), monitor=Notes())
    solver.solve()
    best = solver.watch.best
    assert best > 0.45
    solver.net.copy_from(str(tmp_path / "run_best.caffemodel"))
    assert solver.test(0)["accuracy"] == pytest.approx(best)


def test_hdf5_snapshots_keep_the_best_as_hdf5(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    run(tmp_path, "keep_best: true snapshot_format: HDF5", [0.1] * 11)
    assert (tmp_path / "run_best.caffemodel.h5").exists()


@pytest.mark.parametrize("cut", [10, 15, 20, 25])
def test_a_resumed_run_remembers(tmp_path: Path, cut: int) -> None:
    values = [0.1, 0.9, 0.5, 0.5, 0.5, 0.5]
    text = f'{BASE} watch: "accuracy" patience: 3 keep_best: true'
    first = make(tmp_path, text, spiral(), monitor=Notes())
    scripted(first, values)
    first.step(cut)
    state = first.snapshot()
    second = make(tmp_path, text, spiral(), monitor=Notes())
    scripted(second, values)
    second.solve(state)
    assert (second.iter, second.watch.best, second.watch.best_iter) == (40, 0.9, 10)


def test_a_run_that_has_stopped_goes_on_with_more_patience(tmp_path: Path) -> None:
    values = [0.1, 0.5, 0.5, 0.5, 0.5, 0.5]
    state = run(tmp_path, "patience: 2", values).snapshot()
    again = make(tmp_path, f'{BASE} watch: "accuracy" patience: 4', spiral(), monitor=Notes())
    scripted(again, values)
    again.solve(state)
    assert again.iter == 50  # the test at 30 is not counted twice


def test_another_output_is_watched_from_anew(tmp_path: Path) -> None:
    state = run(tmp_path, "patience: 2", [0.9, 0.1, 0.1]).snapshot()
    other = make(tmp_path, f'{BASE} watch: "loss" patience: 2', spiral(), monitor=Notes())
    other.restore(state)
    assert other.watch.best is None


@pytest.mark.parametrize(
    "text, net, message",
    [
        ('watch: "acuracy" patience: 1', spiral(), 'no output "acuracy"'),
        ('watch: "acuracy" patience: 1', spiral(), 'did you mean "accuracy"'),
        ('watch: "loss" patience: 1 watch_net: 1', spiral(), "no test net #1"),
        (
            'watch: "accuracy" patience: 1 test_iter: 0',
            spiral(),
            "1 or more: its output is watched",
        ),
        ("patience: 1", spiral(), "patience needs watch"),
        ("keep_best: true", spiral(), "keep_best needs watch"),
        (
            'watch: "score" patience: 1',
            spiral().rsplit("layer {", 2)[0],  # neither loss nor accuracy
            "it has 60 values",
        ),
        (
            'watch: "mean" patience: 1',
            spiral() + 'layer { name: "m" type: "Reduction" bottom: "score" top: "mean" }',
            'is a higher "mean" better',
        ),
    ],
)
def test_what_cannot_be_watched_is_refused(
    tmp_path: Path, text: str, net: str, message: str
) -> None:
    with pytest.raises(SolverError) as caught:
        make(tmp_path, BASE + text, net)
    assert message in str(caught.value)
    assert "s.solver:6:" in str(caught.value)


def test_a_mode_may_be_stated(tmp_path: Path) -> None:
    net = spiral() + 'layer { name: "m" type: "Reduction" bottom: "score" top: "mean" }'
    solver = make(tmp_path, f'{BASE} watch: "mean" patience: 1 watch_mode: HIGHER', net)
    assert solver.watch.higher


def test_nothing_is_watched_without_being_asked(tmp_path: Path) -> None:
    assert make(tmp_path, BASE, spiral()).watch is None


@pytest.mark.parametrize("higher", [True, False])
def test_a_layer_says_itself_which_way_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, higher: bool
) -> None:
    monkeypatch.setattr(registry["Reduction"], "higher_is_better", higher)
    net = spiral() + 'layer { name: "m" type: "Reduction" bottom: "score" top: "mean" }'
    solver = make(tmp_path, f'{BASE} watch: "mean" patience: 1', net)
    assert solver.watch.higher is higher


@pytest.mark.parametrize("weight, higher", [("0.5", False), ("-2", True)])
def test_the_objective_says_which_way_is_better(tmp_path: Path, weight: str, higher: bool) -> None:
    net = spiral() + 'layer { name: "m" type: "Reduction" bottom: "score" top: "mean" %s }'
    solver = make(tmp_path, f'{BASE} watch: "mean" patience: 1', net % f"loss_weight: {weight}")
    assert solver.watch.higher is higher


@pytest.mark.parametrize(
    ("text", "values", "verdict"),
    [
        ("patience: 2", [0.5, 0.75, 0.75, 0.5], "higher in 2 tests; the best, 0.75, was at "),
        (
            "patience: 1 min_delta: 0.25",
            [0.5, 0.625],
            "higher by more than 0.25 in 1 tests; the best, 0.625, was at ",
        ),
        (
            "patience: 1 watch_mode: LOWER",
            [0.5, 0.25, 0.25],
            "lower in 1 tests; the best, 0.25, was at ",
        ),
        ("patience: 1", [float("nan")], "higher in 1 tests; the best, nan, was at "),
    ],
)
def test_why_a_run_stops_is_said(
    tmp_path: Path, text: str, values: list[float], verdict: str
) -> None:
    solver = run(tmp_path, text, values)
    (said,) = (note for note in solver.monitor.notes if "stopping" in note)
    assert said.startswith(f"stopping early: accuracy has not become {verdict}iteration ")
    assert said.endswith(f" {10 * int(np.argmax(values)) if 'LOWER' not in text else 10}")


def test_a_run_that_has_stopped_is_not_tested_again(tmp_path: Path) -> None:
    solver = make(tmp_path, f'{BASE} watch: "accuracy" patience: 1', spiral(), monitor=Notes())
    tests: list[int] = []

    def test_all() -> list[dict[str, np.ndarray]]:
        tests.append(solver.iter)
        return [{"accuracy": np.array(0.5)}]

    solver.test_all = test_all  # type: ignore[method-assign]
    solver.solve()
    assert tests == [0, 10]


def test_a_net_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    text = BASE.replace("test_interval: 10", "") + 'watch: "loss" patience: 1'
    with pytest.raises(SolverError) as caught:
        make(tmp_path, text, spiral())
    (problem,) = caught.value.problems
    assert problem.message == "there is no test net #0 to watch"
    assert problem.expected == "a test net, and how often to test, test_interval: 500"
    assert problem.span and (problem.span.line, problem.span.col) == (6, 8)  # at watch
    with pytest.raises(SolverError) as caught:
        make(tmp_path, BASE + 'watch: "loss" patience: 1\nwatch_net: 1', spiral())
    (problem,) = caught.value.problems
    assert problem.expected == "one of 1 test nets, counted from 0"
    assert problem.span and problem.span.line == 7  # where watch_net stands
