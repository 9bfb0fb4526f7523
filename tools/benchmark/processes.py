"""The processes that are measured, and the one that keeps a core busy meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any

from .contenders import Entry

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BLOCK = 0.1
"""Seconds that one turn should take at least."""
BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
"""A program that keeps a core busy until its parent is gone."""


class Skipped(Exception):
    """A contender cannot take part; why."""


def start(module: str, *args: str, threads: int, python: str = "") -> subprocess.Popen[str]:
    """A process of ours; thread pools read their sizes from the environment when they start."""
    sizes = ("CAFFELITE_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    path = os.pathsep.join(filter(None, [TOOLS, os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [python or sys.executable, "-m", f"benchmark.{module}", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            **dict.fromkeys(sizes, str(threads)),
            "PYTHONPATH": path,
            "PYTHONSAFEPATH": "1",
        },
    )


def ask(module: str, *args: str, threads: int = 1, python: str = "") -> list[dict[str, Any]]:
    """All that a process says. Errors: Skipped, with the reason if it gave one."""
    child = start(module, *args, threads=threads, python=python)
    out, _ = child.communicate()
    answers = [json.loads(line) for line in out.splitlines()]
    for answer in answers:
        if "skip" in answer:
            raise Skipped(answer["skip"])
    if child.returncode:
        raise Skipped(f"ended with status {child.returncode}; its message is above")
    return answers


class Contender:
    """One process, which runs when told to."""

    def __init__(self, entry: Entry, folder: str, which: str, python: str) -> None:
        self.entry = entry
        kind = entry.kind
        self.process = start(
            kind.module,
            *(folder, which, str(entry.threads), kind.word),
            threads=entry.threads,
            python=python if kind.torch else "",
        )
        self.hello = self._answer()
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self.steps = 1
        self.slow = False

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise Skipped(f"ended with status {self.process.returncode}; its message is above")
        answer: dict[str, Any] = json.loads(line)
        if "skip" in answer:
            self.process.wait()
            raise Skipped(answer["skip"])
        return answer

    def run(self, count: int) -> tuple[float, float]:
        """Seconds by the clock and of the process for `count` runs."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        print(count, file=stdin, flush=True)
        answer = self._answer()
        return float(answer["seconds"]), float(answer["cpu"])

    def settle(self, steps: int) -> None:
        """Warm up, and find how many runs make a turn long enough to time."""
        self.run(1)
        self.steps = steps
        while not self.steps:
            count = max(1, int(BLOCK / max(self.run(1)[0], 1e-6) / 4))
            self.steps = max(1, round(BLOCK / self.run(count)[0] * count))
        self.slow = self.steps == 1 and self.run(1)[0] > BLOCK

    def turn(self) -> None:
        if not self.slow:  # caches and threads are cold after the others' turns
            self.run(max(1, self.steps // 10))
        seconds, cpu = self.run(self.steps)
        self.seconds.append(seconds / self.steps)
        self.cpu.append(cpu / self.steps)

    def end(self) -> float | None:
        """Stop; the peak memory in MB."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        peak: float | None = self._answer()["peak_mb"]
        self.process.wait()
        return peak

    def close(self) -> None:
        """End the process whatever it does."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def busy_core(wanted: bool) -> Iterator[None]:
    """Another process, which takes all of one core while this lasts."""
    if not wanted:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        other.kill()
        other.wait()
