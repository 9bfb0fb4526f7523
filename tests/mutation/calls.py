"""Which tests call which functions: those are the tests that can notice a mistake in one.

  python -m tests.mutation.calls                     all tests that run in this process
  python -m tests.mutation.calls tests/layers …      adds these to what is known

Takes two to three times as long as the tests alone, and leaves .mutation/calls.json. Tests that are
newer than that file are not in it: `Calls.newer` has their files.
"""

from __future__ import annotations

import inspect
import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
KNOWN = ROOT / ".mutation" / "calls.json"
LEFT_OUT = ("cli", "fuzz", "faults", "mutation", "tools", "test_kill.py")
"""Tests that mostly start other processes."""


class Recorder:
    """A plugin for pytest that sees what each test calls."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[float, list[str]]] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        seen: set[CodeType] = set()

        def notice(frame: Any, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
                seen.add(frame.f_code)  # a function, not the body of a class

        begin = time.process_time()
        threading.setprofile(notice)
        sys.setprofile(notice)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
        names = sorted({*map(name_of, seen)} - {""})
        self.found[item.nodeid] = (round(time.process_time() - begin, 3), names)


def name_of(code: CodeType) -> str:
    """PATH: WHERE, as mutants have it; "" for what is not ours."""
    path = Path(code.co_filename)
    if not path.is_relative_to(ROOT / "caffelite"):
        return ""
    where = getattr(code, "co_qualname", code.co_name)
    parts = [part for part in where.split(".") if not part.startswith("<")]
    return f"{path.relative_to(ROOT).as_posix()}: {'.'.join(parts)}"


class Calls:
    """What has been recorded, if anything has."""

    def __init__(self, file: Path = KNOWN) -> None:
        self.when = file.stat().st_mtime if file.exists() else 0.0
        self.tests: dict[str, tuple[float, list[str]]] = (
            json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        )
        self.callers: dict[str, list[str]] = {}
        for test in sorted(self.tests, key=lambda test: self.tests[test][0]):
            for name in self.tests[test][1]:
                self.callers.setdefault(name, []).append(test)

    def tests_of(self, path: str, where: str) -> list[str]:
        """The tests that call a function or what is defined in it, the quickest first."""
        return self.callers.get(f"{path}: {where}", [])

    def newer(self, root: Path, folder: str) -> list[str]:
        """Files of tests below `root` that have been written since."""
        files = sorted(root.joinpath(folder).rglob("test_*.py"))
        new = [file for file in files if file.stat().st_mtime > self.when]
        return [file.relative_to(root).as_posix() for file in new]

    def within(self, tests: list[str], seconds: float) -> list[str]:
        """As many of the first of them as take so long together, and one at least; file by file."""
        if not tests:
            return []
        ends = itertools.accumulate(self.tests[test][0] for test in tests)
        some = [t for t, end in zip(tests, ends, strict=True) if end <= seconds or t == tests[0]]
        files = list(dict.fromkeys(test.partition("::")[0] for test in some))
        return sorted(some, key=lambda test: files.index(test.partition("::")[0]))


def main(folders: list[str]) -> int:
    tests = ROOT / "tests"
    everything = [p for p in sorted(tests.iterdir()) if p.name not in LEFT_OUT]
    given = folders or [str(p) for p in everything if p.is_dir() or p.name.startswith("test_")]
    recorder = Recorder()
    ended = pytest.main([*given, "-p", "no:cacheprovider"], plugins=[recorder])
    KNOWN.parent.mkdir(exist_ok=True)
    known = Calls().tests if folders else {}
    KNOWN.write_text(json.dumps({**known, **recorder.found}), encoding="utf-8")
    print(f"{len(recorder.found)} tests recorded in {KNOWN}")
    return int(ended)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
