"""The loop: when it tests, shows and saves, and when it reads a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffelite.errors import SolverError
from caffelite.schema.solver import SolverParameter
from caffelite.solver import Monitor
from caffelite.solver.timetable import Timetable

from .made import LINE, make, parameters, spiral

FIXED = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 1\n'


def test_a_timetable() -> None:
    param = SolverParameter(test_interval=4, display=3, snapshot=5)
    timetable = Timetable(param, 2)
    assert [i for i in range(9) if timetable.tests(i)] == [0, 4, 8]
    assert [i for i in range(9) if timetable.displays(i)] == [0, 3, 6]
    assert [i for i in range(9) if timetable.listens(i)] == [0, 2, 4, 6, 8]
    assert [i for i in range(1, 11) if timetable.saves(i)] == [5, 10]
    param.test_initialization = False
    assert not Timetable(param).tests(0) and Timetable(param).tests(4)


def test_nothing_is_due_without_intervals() -> None:
    timetable = Timetable(SolverParameter())
    for due in (timetable.tests, timetable.displays, timetable.listens, timetable.saves):
        assert not any(due(i) for i in range(5))


class Shown(Monitor):
    interval = 2

    def __init__(self) -> None:
        self.displayed: dict[int, float] = {}
        self.heard: dict[int, float] = {}

    def on_display(self, iteration: int, loss: float, rate: float, outputs: Any) -> None:
        self.displayed[iteration] = loss

    def on_iteration(self, iteration: int, loss: float, rate: float) -> None:
        self.heard[iteration] = loss


class Late:
    """A loss as a device gives it: a number only when it is read."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value

    def __add__(self, other: Any) -> Late:
        return Late(self.value + other.value)

    def __truediv__(self, by: float) -> Late:
        return Late(self.value / by)


def test_losses_are_shown_as_means_and_read_as_numbers(tmp_path: Path) -> None:
    shown = Shown()
    text = FIXED + "display: 3 average_loss: 4 iter_size: 2"
    solver = make(tmp_path, text, spiral(), monitor=shown)
    losses = iter(range(100))
    forward = solver.net.forward_loss

    def late() -> Late:
        forward()
        return Late(next(losses))

    solver.net.forward_loss = late  # type: ignore[assignment, method-assign]
    solver.step(7)
    means = [(4 * i + 1) / 2 for i in range(7)]  # of two batches
    expected = [np.mean(means[max(0, i - 3) : i + 1]) for i in range(7)]
    assert shown.displayed == {i: expected[i] for i in (0, 3, 6)}
    assert shown.heard == {i: expected[i] for i in (0, 2, 4, 6)}
    assert all(type(loss) is float for loss in shown.displayed.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_at_once(tmp_path: Path, value: float) -> None:
    solver = make(tmp_path, FIXED, LINE)
    solver.step(2)
    before = solver.net.arena.data.copy()
    solver.net.blobs["x"].data[0, 0] = value
    with pytest.raises(SolverError) as caught, np.errstate(invalid="ignore"):
        solver.step(5)
    said = str(caught.value)
    assert "iteration 2: the loss is" in said and 'the first bad blob is "x"' in said
    assert solver.iter == 2 and np.array_equal(solver.net.arena.data, before)


def test_callbacks_come_before_gradients_and_before_updates(tmp_path: Path) -> None:
    solver = make(tmp_path, FIXED, spiral())
    said: list[tuple[str, int, bool]] = []

    def note(what: str) -> None:
        said.append((what, solver.iter, bool(solver.net.arena.diff.any())))

    solver.add_callback(lambda: note("start"), lambda: note("ready"))
    solver.step(2)
    assert said == [
        ("start", 0, False),
        ("ready", 0, True),
        ("start", 1, False),
        ("ready", 1, True),
    ]


def test_an_update_after_a_clear_finds_no_gradient(tmp_path: Path) -> None:
    solver = make(tmp_path, FIXED, spiral())
    solver.step(1)
    before = solver.net.arena.data.copy()
    solver.net.clear_param_diffs()
    solver.apply_update()
    assert np.array_equal(solver.net.arena.data, before)


class Told(Shown):
    """Remembers all that it is told, in order."""

    interval = 0

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int]] = []
        self.batches: list[tuple[int, int, int]] = []
        self.losses: list[float | None] = []
        self.means: list[float] = []
        self.files: list[tuple[str, str]] = []

    def on_display(self, iteration: int, loss: float, rate: float, outputs: Any) -> None:
        super().on_display(iteration, loss, rate, outputs)
        self.told.append(("shown", iteration))
        assert [output.name for output in outputs] == ["loss"]

    def on_test(self, iteration: int, net: int, loss: float | None, outputs: Any) -> None:
        self.told.append(("tested", iteration))
        self.losses.append(loss)
        self.means += [float(output.values) for output in outputs if output.name == "loss"]

    def on_test_batch(self, net: int, done: int, count: int) -> None:
        self.batches.append((net, done, count))

    def on_snapshot(self, model: str, state: str) -> None:
        self.told.append(("saved", int(state.split("_")[-1].split(".")[0])))
        self.files.append((model, state))


RUN = FIXED + "max_iter: 6 display: 3 test_interval: 3 test_iter: 2 "


def test_the_end_of_a_run_is_saved_shown_and_tested(tmp_path: Path) -> None:
    told = Told()
    solver = make(tmp_path, RUN, spiral(), monitor=told)
    solver.solve()
    assert told.told == [
        *(("tested", 0), ("shown", 0), ("tested", 3), ("shown", 3)),
        *(("saved", 6), ("shown", 6), ("tested", 6)),
    ]
    assert told.batches == [(0, 1, 2), (0, 2, 2)] * 3 and told.losses == [None] * 3
    prefix = str(tmp_path / "run_iter_6.")
    assert told.files == [(f"{prefix}caffemodel", f"{prefix}solverstate")]
    assert solver.saved() == f"{prefix}solverstate"
    assert told.displayed[6] == solver.net.blobs["loss"].data  # of a pass of its own
    solver.step(1)
    assert solver.saved() == ""


def test_an_end_at_no_time_for_it_is_not_shown_nor_tested(tmp_path: Path) -> None:
    told = Told()
    text = RUN.replace("max_iter: 6", "max_iter: 7") + "snapshot_after_train: false "
    make(tmp_path, text + "test_compute_loss: true", spiral(), monitor=told).solve()
    assert told.told == [(what, i) for i in (0, 3, 6) for what in ("tested", "shown")]
    assert told.losses == pytest.approx(told.means)


def test_the_end_is_saved_once_and_an_end_that_was_asked_for_is_left_to_the_caller(
    tmp_path: Path,
) -> None:
    told = Told()
    make(tmp_path, RUN + "snapshot: 3", spiral(), monitor=told).solve()
    assert [i for what, i in told.told if what == "saved"] == [3, 6]
    told = Told()
    solver = make(tmp_path, RUN, spiral(), monitor=told)

    def stop() -> None:
        solver.stop_requested = solver.iter == 3

    solver.add_callback(stop, lambda: None)
    solver.solve()
    assert solver.iter == 4 and told.told[-1] == ("shown", 3)


def test_a_loss_is_shown_by_itself_where_no_mean_is_asked_for(tmp_path: Path) -> None:
    told = Told()
    solver = make(tmp_path, FIXED + "display: 1", spiral(), monitor=told)
    solver.step(1)
    assert solver.saved() == ""
    solver.step(2)
    assert told.displayed[2] == solver.net.blobs["loss"].data


def test_the_last_losses_are_of_one_call(tmp_path: Path) -> None:
    """`step` begins its means anew, as in Caffe."""
    told = Told()
    solver = make(tmp_path, FIXED + "display: 1 average_loss: 9", spiral(), monitor=told)
    solver.step(2)
    solver.step(1)
    assert told.displayed[2] == solver.net.blobs["loss"].data


def test_a_snapshot_that_is_asked_for_underway_is_taken_once(tmp_path: Path) -> None:
    told = Told()
    solver = make(tmp_path, FIXED, spiral(), monitor=told)
    solver.snapshot_requested = True
    solver.step(3)
    assert told.told == [("saved", 1)] and not solver.snapshot_requested


def test_a_run_starts_from_the_weights_of_its_solver_file(tmp_path: Path) -> None:
    first = make(tmp_path, FIXED, spiral())
    first.step(2)
    first.net.save(str(tmp_path / "a.caffemodel"))
    text = FIXED.replace("seed: 1", "seed: 2")
    again = make(tmp_path, text + 'weights: "a.caffemodel"', spiral())
    assert np.array_equal(parameters(again), parameters(first))
    assert again.iter == 0


def test_all_test_nets_are_tested(tmp_path: Path) -> None:
    text = 'test_interval: 3 test_iter: 1 test_iter: 3 test_net: "n.net"'
    told = Told()
    solver = make(tmp_path, FIXED + text, spiral(), monitor=told)
    assert [sorted(found) for found in solver.test_all()] == [["accuracy", "loss"]] * 2
    assert told.batches == [(0, 1, 1), (1, 1, 3), (1, 2, 3), (1, 3, 3)]
