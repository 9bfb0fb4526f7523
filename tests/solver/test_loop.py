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

from .made import LINE, make, spiral

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
