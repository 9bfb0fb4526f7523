"""What ends a run, what does not, and what is kept of it."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffelite.errors import DataError, SnapshotError, SolverError
from caffelite.files import load_solver
from caffelite.solver import Monitor, Solver, claim
from caffelite.solver.claim import claimed

from .made import Notes, make, parameters, spiral

NET = spiral("batch_size: 7", dropout=0.3)
RUN = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 3 max_iter: 9 '


def fail_at(solver: Solver, iteration: int, error: BaseException) -> None:
    """Let the forward pass of that iteration fail."""
    forward = solver.net.forward_loss

    def failing() -> float:
        if solver.iter == iteration:
            raise error
        return forward()

    solver.net.forward_loss = failing  # type: ignore[method-assign]


def states(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.solverstate"))


@pytest.mark.parametrize("error", [DataError("a bad record"), MemoryError(), KeyError("x")])
def test_an_error_that_ends_a_run_takes_a_snapshot_first(tmp_path: Path, error: Exception) -> None:
    notes = Notes()
    solver = make(tmp_path, RUN, NET, monitor=notes)
    fail_at(solver, 5, error)
    with pytest.raises(type(error)):
        solver.solve()
    assert states(tmp_path) == ["run_iter_5.solverstate"]
    assert "what was learned is kept" in notes.notes[-1]
    again = make(tmp_path, RUN, NET)
    again.restore(str(tmp_path / "run_iter_5.solverstate"))
    assert np.array_equal(parameters(again), parameters(solver))
    again.solve()
    assert again.iter == 9


def test_nothing_is_kept_of_parameters_that_are_not_whole(tmp_path: Path) -> None:
    solver = make(tmp_path, RUN, NET)
    solver.step(2)

    def half() -> None:
        solver.net.arena.data[:5] = 7
        raise MemoryError

    solver.apply_update = half  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        solver.solve()
    spoilt = make(tmp_path, RUN, NET)
    spoilt.add_callback(lambda: None, lambda: spoilt.net.arena.data.fill(np.nan))
    with pytest.raises(SolverError), np.errstate(invalid="ignore"):
        spoilt.solve()
    assert states(tmp_path) == []


def test_an_error_at_the_start_leaves_nothing(tmp_path: Path) -> None:
    solver = make(tmp_path, RUN, NET)
    fail_at(solver, 0, DataError("a bad record"))
    with pytest.raises(DataError):
        solver.solve()
    assert states(tmp_path) == []


class FullFor:
    """A disk that is full for some snapshots."""

    def __init__(self, solver: Solver, iterations: set[int]) -> None:
        save = solver.net.save

        def failing(path: str, diffs: bool = False) -> None:
            if solver.iter in iterations:
                raise SnapshotError(f"{path}: cannot be written: No space left on device")
            save(path, diffs)

        solver.net.save = failing  # type: ignore[method-assign]


def test_a_snapshot_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    notes = Notes()
    solver = make(tmp_path, RUN + "snapshot: 3", NET, monitor=notes)
    FullFor(solver, {3})
    solver.solve()
    assert states(tmp_path) == ["run_iter_6.solverstate", "run_iter_9.solverstate"]
    (note,) = (n for n in notes.notes if "no snapshot" in n)
    assert "iteration 3" in note and "No space left" in note


def test_the_last_snapshot_must_be_written(tmp_path: Path) -> None:
    solver = make(tmp_path, RUN + "snapshot: 3", NET)
    FullFor(solver, {9})
    with pytest.raises(SnapshotError, match="No space left"):
        solver.solve()


def test_the_best_parameters_that_cannot_be_written_do_not_end_the_run(tmp_path: Path) -> None:
    notes = Notes()
    text = RUN + 'test_interval: 3 test_iter: 2 watch: "accuracy" keep_best: true'
    solver = make(tmp_path, text, NET, monitor=notes)
    FullFor(solver, set(range(9)))
    solver.solve()
    assert solver.iter == 9
    assert any("is not kept" in note for note in notes.notes)


def test_a_long_test_is_left_within_a_batch_and_done_again(tmp_path: Path) -> None:
    text = RUN + "test_interval: 4 test_iter: 6 snapshot: 100"
    whole = make(tmp_path, text, NET)
    whole.solve()

    solver = make(tmp_path, text, NET)
    net, batches = solver.test_nets[0], []
    forward = net.forward_loss

    def batch() -> float:
        batches.append(solver.iter)
        solver.stop_requested = batches.count(4) == 2
        return forward()

    net.forward_loss = batch  # type: ignore[method-assign]
    solver.solve()
    assert solver.iter == 4 and batches == [0] * 6 + [4] * 2

    resumed, tests = make(tmp_path, text, NET), Values()
    resumed.monitor = tests
    resumed.solve(solver.snapshot())
    assert [at for at, _ in tests.seen] == [4, 8]
    assert np.array_equal(parameters(resumed), parameters(whole))
    for mine, theirs in zip(resumed.test_nets[0].blobs.values(), whole.test_nets[0].blobs.values()):
        assert np.array_equal(mine.data, theirs.data)


class Values(Monitor):
    def __init__(self) -> None:
        self.seen: list[tuple[int, Any]] = []

    def on_test(self, iteration: int, net: int, loss: Any, outputs: Any) -> None:
        self.seen.append((iteration, outputs))


class TestClaim:
    @pytest.fixture
    def solver_file(self, tmp_path: Path) -> Path:
        make(tmp_path, RUN, NET)
        return tmp_path / "s.solver"

    def test_two_runs_on_one_prefix_are_noticed(self, solver_file: Path) -> None:
        pytest.importorskip("fcntl")
        param = load_solver(solver_file)
        with claimed(param, str(solver_file)):
            with pytest.raises(SolverError) as caught, claimed(param, str(solver_file)):
                pass
            assert "another run (process" in str(caught.value)
            assert "s.solver:2:" in str(caught.value)
            param.snapshot_prefix = str(solver_file.with_name("other"))
            with claimed(param, str(solver_file)):
                pass
        assert not list(solver_file.parent.glob(".*.lock"))

    def test_on_windows_a_byte_behind_the_text_is_locked(
        self, solver_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held: dict[int, int] = {}

        def locking(number: int, mode: int, count: int) -> None:
            """Windows: OSError where another handle has locked the same bytes."""
            assert (mode, count) == (7, 1)
            where = os.lseek(number, 0, os.SEEK_CUR)
            if where in held.values():
                raise OSError(36, "Resource deadlock avoided")
            held[number] = where

        windows = types.SimpleNamespace(LK_NBLCK=7, locking=locking)
        monkeypatch.setitem(sys.modules, "msvcrt", windows)
        monkeypatch.setitem(sys.modules, "fcntl", None)  # there is none
        monkeypatch.setattr(claim, "POSIX", False)
        param = load_solver(solver_file)
        with claimed(param, str(solver_file)):
            assert list(held.values()) == [1 << 20]
            with (
                pytest.raises(SolverError, match=r"another run \(process \d+ on .*\) writes"),
                claimed(param, str(solver_file)),
            ):
                pass
            assert len(list(solver_file.parent.glob(".*.lock"))) == 1
        assert not list(solver_file.parent.glob(".*.lock"))

    def test_a_run_that_writes_nothing_claims_nothing(self, solver_file: Path) -> None:
        param = load_solver(solver_file)
        param.snapshot_after_train = False
        with claimed(param, str(solver_file)), claimed(param, str(solver_file)):
            assert not list(solver_file.parent.glob(".*.lock"))

    def test_what_killed_runs_left_half_written_is_removed(self, solver_file: Path) -> None:
        folder = solver_file.parent
        left = [".run_iter_5.caffemodel.0123abcd.part", ".run_iter_7.solverstate.h5.0123abcd.part"]
        others = [
            ".run_2_iter_5.caffemodel.0123abcd.part",
            ".run_iter_5.caffemodel.part",
            "run.part",
        ]
        for name in (*left, *others):
            (folder / name).touch()
        with claimed(load_solver(solver_file), str(solver_file)):
            assert sorted(p.name for p in folder.glob("*.part")) == sorted(others)

    def test_where_files_cannot_be_locked_nothing_is_removed(
        self, solver_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*arguments: object) -> bool:
            raise OSError("no locks here")

        part = solver_file.with_name(".run_iter_5.caffemodel.0123abcd.part")
        part.touch()
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        with monkeypatch.context() as patch:
            patch.setattr(claim, "_lock", fails)
            with claimed(load_solver(solver_file), str(solver_file)):
                assert part.exists()
        with monkeypatch.context() as patch:
            patch.setattr(claim.os, "open", fails)
            param = load_solver(solver_file)
            with patch.context() as inner:
                inner.setattr(claim, "_lock", lambda _: pytest.fail("nothing to lock"))
                with claimed(param, str(solver_file)):
                    assert part.exists()
        if before is not None:
            assert len(os.listdir("/proc/self/fd")) == before  # no file is left open

    def test_who_holds_a_prefix_is_said_by_what_it_wrote(self, solver_file: Path) -> None:
        pytest.importorskip("fcntl")
        lock = solver_file.with_name(".run.lock")
        lock.write_text("left by a process with a much longer line than the new one " * 9)
        with claimed(load_solver(solver_file), str(solver_file)):
            words = lock.read_text()
            assert words.startswith(f" (process {os.getpid()} on ") and words.endswith(")")
            before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
            lock.write_bytes(b"\x1b[2J")  # not fit for a terminal
            with (
                pytest.raises(SolverError, match="another run writes its snapshots"),
                claimed(load_solver(solver_file), str(solver_file)),
            ):
                pass
            assert not before or len(os.listdir("/proc/self/fd")) == before
        assert not lock.exists()

    def test_a_lock_that_was_removed_underway_is_taken_anew(
        self, solver_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("fcntl")
        lock, times = solver_file.with_name(".run.lock"), []
        real = claim._lock

        def slow(number: int) -> bool:
            times.append(number)
            if len(times) == 1:
                lock.unlink()  # the run before ends between open and lock
            if len(times) == 2:
                lock.unlink()
                lock.touch()
            return real(number)

        monkeypatch.setattr(claim, "_lock", slow)
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        with claimed(load_solver(solver_file), str(solver_file)):
            assert len(times) == 3 and lock.read_text()
        assert not lock.exists()
        if before is not None:
            assert len(os.listdir("/proc/self/fd")) == before
