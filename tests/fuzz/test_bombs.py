"""Some of the arsenal. All of it, with time and memory: python -m tests.fuzz.bombs"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..data.kinds import make_files

if os.name == "nt":
    pytest.skip("bombs go off in forked processes", allow_module_level=True)

from .arsenal import Bomb, bombs
from .bombs import try_bomb


def test_bombs_are_refused(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    make_files(files)
    for kind in ("windows", "solver:", "hdf5 list"):
        for bomb in bombs(kind):
            found = try_bomb(bomb, tmp_path, files)
            assert not found["fault"], f"{bomb.name}: {found['fault']}"


def test_a_fault_is_seen(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()

    def fail(folder: Path) -> None:
        raise KeyError("x")

    def die(folder: Path) -> None:
        os._exit(3)

    for read, said in ((fail, "KeyError"), (die, "the process died")):
        bomb = Bomb("x", "x", lambda path: path.touch(), read)
        assert said in str(try_bomb(bomb, tmp_path, files)["fault"])
