"""A short run of the fuzzer. The long one: python -m tests.fuzz --minutes 10"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import DataError

from .hunt import wrong_with
from .mutate import mutate
from .targets import Target, make_targets

ROOT = Path(__file__).parents[2]
KINDS = [
    "lmdb",
    "csv",
    "idx",
    "idx.gz",
    "npz",
    "hdf5",
    "list",
    "windows",
    "image",
    "mean",
    "net",
    "solver",
]
KINDS += ["caffemodel", "solverstate", "caffemodel.h5", "solverstate.h5"]


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--child", str(tmp_path), "--count", "40"]
    command += [f"--only={kind}" for kind in KINDS]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    last = (tmp_path / "now").read_text()
    assert run.returncode == 0, f"case {last}: {run.stderr[-2000:]}"
    assert run.stdout == "", run.stdout
    assert json.loads(last) == [KINDS[-1], 39]


def test_valid_files_are_read(tmp_path: Path) -> None:
    targets = make_targets(tmp_path)
    assert {*targets} == {*KINDS}
    for target in targets.values():
        for seed in target.seeds[:1]:
            (tmp_path / target.name).write_bytes(seed)
            target.read(tmp_path)


class Loud(DataError):
    """An error that says what a file says."""

    def __str__(self) -> str:
        return "\x1b[31m"


@pytest.mark.parametrize(
    "error, seen",
    [
        (DataError("refused"), None),
        (KeyError("x"), "KeyError"),
        (MemoryError(), "MemoryError"),
        (Loud(), "control characters"),
    ],
)
def test_faults_are_seen(error: Exception, seen: str | None, tmp_path: Path) -> None:
    def read(folder: Path) -> None:
        raise error

    found = wrong_with(Target("f", [b"x"], read), tmp_path, b"y")
    assert (found is None) if seen is None else (found is not None and seen in found)


def test_changes_are_repeated_by_the_seed_and_change_something() -> None:
    data = bytes(range(256)) * 4
    made = [mutate(data, data[::-1], np.random.default_rng(i)) for i in range(50)]
    assert made == [mutate(data, data[::-1], np.random.default_rng(i)) for i in range(50)]
    assert len(set(made)) == 50 and data not in made
