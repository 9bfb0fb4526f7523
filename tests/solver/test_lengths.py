"""How long runs and tests are: max_epoch, test_iter left out."""

from pathlib import Path

import pytest

from caffelite import get_solver
from caffelite.errors import CaffeliteError, SolverError
from caffelite.files import load_solver

from .made import LINE, Notes, make, spiral

BASE = 'base_lr: 0.1 lr_policy: "fixed" snapshot_after_train: false\n'


@pytest.mark.parametrize(
    "text, batch, iterations",
    [
        ("max_epoch: 1", 20, 15),  # 300 points
        ("max_epoch: 3", 20, 45),
        ("max_epoch: 3 iter_size: 5", 20, 9),
        ("max_epoch: 1", 70, 5),  # 4.3 rounded up
        ("max_epoch: 2", 70, 9),  # 8.6
    ],
)
def test_epochs_become_iterations(tmp_path: Path, text: str, batch: int, iterations: int) -> None:
    monitor = Notes()
    solver = make(tmp_path, BASE + text, spiral(f"batch_size: {batch}"), monitor=monitor)
    assert solver.param.max_iter == iterations
    assert any(f"{iterations} iterations: 300 samples" in note for note in monitor.notes)
    solver.solve()
    assert solver.iter == iterations


def test_policies_that_end_with_the_run_end_with_its_epochs(tmp_path: Path) -> None:
    text = 'base_lr: 0.1 lr_policy: "cosine" max_epoch: 2 warmup_iter: 3'
    solver = make(tmp_path, text, spiral())
    solver.iter = 15
    assert solver.rate == pytest.approx(0.05)


def test_a_solver_file_can_be_used_twice(tmp_path: Path) -> None:
    make(tmp_path, BASE + "max_epoch: 2", spiral())
    param = load_solver(tmp_path / "s.solver")
    param.net = str(tmp_path / "n.net")
    assert [get_solver(param, Notes()).param.max_iter for _ in range(2)] == [30, 30]
    assert not param.has("max_iter")


@pytest.mark.parametrize(
    "text, net, message",
    [
        ("max_epoch: 2", LINE, "the training data has no known size"),
        ("max_epoch: 2 max_iter: 10", spiral(), "max_iter and max_epoch are both given"),
        ("max_epoch: 0", spiral(), "max_epoch cannot be 0"),
    ],
)
def test_epochs_that_cannot_be_counted(tmp_path: Path, text: str, net: str, message: str) -> None:
    with pytest.raises(CaffeliteError) as caught:
        make(tmp_path, BASE + text, net)
    assert message in str(caught.value)
    assert "s.solver:4:" in str(caught.value)


@pytest.mark.parametrize("batch, count", [(20, 15), (70, 5), (300, 1), (1000, 1)])
def test_a_test_is_of_the_whole_set(tmp_path: Path, batch: int, count: int) -> None:
    monitor = Notes()
    net = spiral(f"batch_size: {batch}")
    solver = make(tmp_path, BASE + "test_interval: 5", net, monitor=monitor)
    assert solver.test_iter == [count]
    (note,) = monitor.notes
    assert "all 300 samples" in note
    assert ("twice" in note) == (batch not in (20, 300))


def test_a_test_of_data_without_end_needs_test_iter(tmp_path: Path) -> None:
    with pytest.raises(SolverError, match="the test net's data has no known size"):
        make(tmp_path, BASE + "test_interval: 5", LINE)
