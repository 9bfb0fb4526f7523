"""The log of a run: a JSON object a line, made for programs (`caffelite.plot` draws it)."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import time
from datetime import datetime, timezone
from io import FileIO
from typing import Any

import numpy as np

from caffelite import snapshot
from caffelite.cli.enduring import say
from caffelite.errors import CaffeliteError, Problem
from caffelite.schema.solver import SolverParameter
from caffelite.solver.base import Solver
from caffelite.solver.facts import Pace
from caffelite.solver.monitor import Monitor, Output

MAX_LINE = 1 << 20
"""Where the end of the last line is looked for."""


def log_path(param: SolverParameter, solver_path: str) -> str:
    """PREFIX.jsonl, beside the snapshots; none if the solver writes no snapshots either."""
    if not (param.snapshot or param.snapshot_after_train):
        return ""
    prefix, _ = snapshot.prefix(param, solver_path)
    return f"{prefix}.jsonl"


def check_log(path: str) -> None:
    """Refuse a file that --log names and that is none of a run: it would be overwritten."""
    if not os.path.isfile(path) or not os.path.getsize(path):
        return
    with open(path, "rb") as file:
        first = file.readline(MAX_LINE)
    try:
        record = json.loads(first)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "event" not in record:
        message = f"--log {path}: exists already, and is no log of a run"
        raise CaffeliteError(Problem(message, hint="give the log another name"))


class LogMonitor(Monitor):
    """Writes what happens to a file, and some 200 losses whatever `display` says, for a curve. A
    resumed run's lines are added to what is there."""

    def __init__(self, path: str, max_iter: int = 0, resumed: bool = False) -> None:
        self.path, self._resumed = path, resumed
        self.interval = max(1, max_iter // 200) if path else 0
        self._shown = -1
        self._pace = Pace(1, None)
        self._began = self._then = time.perf_counter()
        self._before = 0
        self._file: FileIO | None = None
        self._warned = False

    def start(self, solver: Solver) -> None:
        """Open the file and write what the run is."""
        if not self.path:
            return
        try:
            if self._resumed:
                _cut_half_a_line(self.path)
            self._file = FileIO(self.path, "ab", opener=None if self._resumed else _open_empty)
        except OSError as error:
            say(f"no log is written: {self.path}: {error.strerror}")
            return
        self._pace = Pace.of(solver)
        self._began = self._then = time.perf_counter()
        self._before = solver.iter
        self._write(
            event="start",
            at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            iteration=solver.iter,
            solver=solver.path,
            net=solver.net.name,
            type=solver.type,
            seed=solver.streams.seed,
            max_iter=solver.param.max_iter,
            engine=solver.net.engine.engine,
            samples_per_iteration=self._pace.samples,
            samples=self._pace.size,
        )

    def _clock(self, iteration: int, trains: bool = True) -> dict[str, float]:
        """Seconds since the start, in training samples a second since the last record, epochs."""
        now = time.perf_counter()
        found = {"time": round(now - self._began, 4)}
        if trains and iteration > self._before:
            speed = (iteration - self._before) * self._pace.samples / max(now - self._then, 1e-9)
            found["samples_per_second"] = round(speed, 2)
            self._then, self._before = now, iteration
        epoch = self._pace.epoch(iteration)
        return found if epoch is None else {**found, "epoch": round(epoch, 4)}

    def __exit__(self, *failure: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _write(self, **record: Any) -> None:
        """Add a line. A full disk costs the line, never the run, and leaves no half of it."""
        if self._file is None:
            return
        line = (json.dumps(record) + "\n").encode()
        try:
            end = os.fstat(self._file.fileno()).st_size
            if self._file.write(line) != len(line):
                self._file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if not self._warned:
                say(f"the log cannot be written: {self.path}: {error.strerror}; the run goes on")
            self._warned = True

    def on_display(self, iteration: int, loss: float, rate: float, outputs: list[Output]) -> None:
        said = {"loss": loss, "lr": rate, "outputs": _plain(outputs), **self._clock(iteration)}
        self._write(event="train", iteration=iteration, **said)
        self._shown = iteration

    def on_iteration(self, iteration: int, loss: float, rate: float) -> None:
        if iteration != self._shown:
            said = {"loss": loss, "lr": rate, **self._clock(iteration)}
            self._write(event="train", iteration=iteration, **said)

    def on_test(self, iteration: int, net: int, loss: float | None, outputs: list[Output]) -> None:
        said = {"net": net, "outputs": _plain(outputs), **self._clock(iteration, False)}
        self._write(event="test", iteration=iteration, **said)

    def on_snapshot(self, model: str, state: str) -> None:
        self._write(event="snapshot", model=model, state=state)


def _open_empty(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_TRUNC, 0o666)


def _cut_half_a_line(path: str) -> None:
    """Remove a line without an end, which a killed run has left."""
    if not os.path.isfile(path):
        return
    with open(path, "r+b") as file:
        start = max(0, file.seek(0, os.SEEK_END) - MAX_LINE)
        file.seek(start)
        end = file.read(MAX_LINE)
        if end and not end.endswith(b"\n"):
            file.truncate(start + end.rfind(b"\n") + 1)


def _plain(outputs: list[Output]) -> dict[str, Any]:
    return {o.name: np.asarray(o.values, np.float64).tolist() for o in outputs}


class Several(Monitor):
    """Passes everything on to several monitors."""

    def __init__(self, monitors: list[Monitor]) -> None:
        self.monitors = monitors
        intervals = [m.interval for m in monitors if m.interval]
        self.interval = math.gcd(*intervals) if intervals else 0

    def on_iteration(self, iteration: int, loss: float, rate: float) -> None:
        for monitor in self.monitors:
            if monitor.interval and iteration % monitor.interval == 0:
                monitor.on_iteration(iteration, loss, rate)

    def on_display(self, iteration: int, loss: float, rate: float, outputs: list[Output]) -> None:
        for monitor in self.monitors:
            monitor.on_display(iteration, loss, rate, outputs)

    def on_test(self, iteration: int, net: int, loss: float | None, outputs: list[Output]) -> None:
        for monitor in self.monitors:
            monitor.on_test(iteration, net, loss, outputs)

    def on_test_batch(self, net: int, done: int, count: int) -> None:
        for monitor in self.monitors:
            monitor.on_test_batch(net, done, count)

    def on_snapshot(self, model: str, state: str) -> None:
        for monitor in self.monitors:
            monitor.on_snapshot(model, state)

    def on_note(self, text: str) -> None:
        for monitor in self.monitors:
            monitor.on_note(text)
