"""Snapshots on disks that fail: at every call, with every error, and after every call for good."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from caffelite.cli.logfile import _cut_half_a_line
from caffelite.errors import SnapshotError
from caffelite.solver import Solver

from ..solver.made import Notes, make, parameters, spiral
from .disk import Call, Contents, Disk, crash_states

NET = spiral("batch_size: 7", dropout=0.3)
RUN = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 3 max_iter: 9 '
KINDS = ["BINARYPROTO", "HDF5"]


def solver(folder: Path, kind: str, notes: Notes | None = None) -> Solver:
    if kind == "HDF5":
        pytest.importorskip("h5py")
    folder.mkdir(exist_ok=True)
    return make(folder, RUN + f"snapshot_format: {kind}", NET, monitor=notes)


def files(folder: Path) -> Contents:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*run*")) if p.is_file()}


def put(folder: Path, contents: Contents) -> None:
    for path in folder.glob("*run*"):
        path.unlink()
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def record(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Contents, list[Call]]:
    """The files of a first snapshot, and the calls that write a second one."""
    it = solver(folder, kind)
    it.step(2)
    it.snapshot()
    before = files(folder)
    it.step(2)
    disk = Disk()
    with monkeypatch.context() as patch:
        disk.install(patch)
        it.snapshot()
    return before, disk.calls


def recovered(folder: Path, it: Solver, values: dict[int, np.ndarray]) -> Counter[str]:
    """Which snapshots load, and are the run's; one that does neither must be refused."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("run_iter_*.solverstate*")):
        at = int(path.name.split("_iter_")[1].split(".")[0])
        try:
            it.restore(str(path))
        except SnapshotError:
            found["refused"] += 1
            continue
        assert np.array_equal(parameters(it), values[at]), f"{path.name}: other parameters"
        found[f"snapshot {at}"] += 1
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_after_every_crash_the_last_snapshot_is_there(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = record(tmp_path / "run", kind, monkeypatch)
    values = {}
    it = solver(tmp_path / "run", kind)
    for at in (2, 4):
        it.step(2)
        values[at] = parameters(it).copy()
    points, total = set(), Counter[str]()
    for count, state in crash_states(before, calls):
        put(tmp_path / "run", state)
        found = recovered(tmp_path / "run", it, values)
        assert found["snapshot 2"] == 1 and not found["refused"], (calls[:count], list(state))
        points.add(count)
        total.update(found + Counter(states=1))
        if count == len(calls):
            assert found["snapshot 4"] == 1, "the call returned: it must last"
    assert points == set(range(len(calls) + 1)) and len(calls) >= 10
    assert total["states"] > 30 and total["snapshot 4"] > 0
    print(f"{kind}: {len(points)} points of a crash, {total['states']} states of the disk: {total}")


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_fails_harms_nothing(
    tmp_path: Path, kind: str, error: int, torn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    _, calls = record(folder, kind, monkeypatch)
    it = solver(folder, kind)
    values = {}
    for at in (2, 4):
        it.step(2)
        values[at] = parameters(it).copy()
    put(folder, {})
    checked = it.snapshot  # writes iteration 4
    it.restore(_first(folder, kind))
    before = files(folder)
    it.step(2)
    for fail_at in range(len(calls)):
        put(folder, before)
        disk = Disk(fail_at, error, torn)
        with monkeypatch.context() as patch:
            disk.install(patch)
            with pytest.raises(SnapshotError, match="cannot be written"):
                checked()
        assert disk.fail_at == -1, "the call did not fail"
        assert not list(folder.glob("*.part")) and not list(folder.glob(".*.part"))
        left = files(folder)
        assert {name: left.get(name) for name in before} == before
        found = recovered(folder, probe(folder, kind), values)
        assert found["snapshot 2"] == 1 and not found["refused"]
        checked()
        assert recovered(folder, probe(folder, kind), values)["snapshot 4"] == 1
    print(f"{kind}, {errno.errorcode[error]}, torn {torn}: {len(calls)} calls failed")


def _first(folder: Path, kind: str) -> str:
    it = solver(folder, kind)
    it.step(2)
    return it.snapshot()


def probe(folder: Path, kind: str) -> Solver:
    return solver(folder, kind)


def test_a_log_that_ends_anywhere_is_cut_to_its_whole_lines(tmp_path: Path) -> None:
    lines = b'{"event": "start"}\n{"event": "train", "loss": 1}\n{"event": "test"}\n'
    path = tmp_path / "run.jsonl"
    for length in range(len(lines) + 1):
        path.write_bytes(lines[:length])
        _cut_half_a_line(str(path))
        whole = lines[:length].rpartition(b"\n")
        assert path.read_bytes() == whole[0] + whole[1]


def test_the_layer_sees_what_is_not_flushed() -> None:
    """A write without a flush must not survive every crash, or the table above says nothing."""
    careless = [
        Call("create", "part"),
        Call("write", "part", b"new!"),
        Call("rename", "part", to="x"),
    ]
    states = [state for count, state in crash_states({"x": b"old"}, careless) if count == 3]
    assert {"x": b"ne"} in states and {"x": b""} in states
    assert {"x": b"old"} in states and {"x": b"new!"} in states
    careful = [*careless[:2], Call("flush", "part"), careless[2], Call("flush-names")]
    assert [s for c, s in crash_states({"x": b"old"}, careful) if c == 5] == [{"x": b"new!"}]
