"""The live line of a run on a terminal: iteration, loss, learning rate, speed, time left."""

from __future__ import annotations

import time
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from caffelite.schema.solver import SolverParameter
from caffelite.solver.monitor import LineMonitor


class LiveMonitor(LineMonitor):
    """Prints lines as they come, and keeps one line up to date below them."""

    interval = 1

    def __init__(self, param: SolverParameter, file: TextIO | None = None) -> None:
        self.console = Console(highlight=False, soft_wrap=True, file=file)
        super().__init__(write=self._line)
        self.last = param.max_iter
        self.iteration, self.loss, self.rate = -1, float("nan"), 0.0
        self._speed = Speed()
        self._live = Live(
            get_renderable=self._render, console=self.console, refresh_per_second=8, transient=True
        )

    def _line(self, line: str) -> None:
        self.console.print(Text(line))

    def __enter__(self) -> None:
        """Show the live line."""
        self._live.start()

    def __exit__(self, *failure: object) -> None:
        """Take it away; the lines above it stay."""
        self._live.stop()

    def on_iteration(self, iteration: int, loss: float, rate: float) -> None:
        # called tens of thousands of times a second: only remember, the live line reads it
        self.iteration, self.loss, self.rate = iteration, loss, rate

    def _render(self) -> RenderableType:
        if self.iteration < 0:
            return Text("")
        done = self.iteration + 1
        speed = self._speed.at(done)
        row = Table.grid(padding=(0, 2))
        left = (self.last - done) / speed if speed else 0.0
        row.add_row(
            Text(f"{done:,} / {self.last:,}"),
            ProgressBar(total=max(1, self.last), completed=done, width=16),
            Text(f"loss {self.loss:.4g}", style="bold"),
            Text(f"lr {self.rate:.3g}"),
            Text(f"{speed:,.0f} it/s" if speed >= 10 else f"{speed:.2f} it/s"),
            Text(f"{clock(left)} left" if speed else ""),
        )
        return Group(row)


class Speed:
    """Iterations a second over the last few seconds."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._marks: list[tuple[float, int]] = []

    def at(self, done: int) -> float:
        """Note that `done` iterations are done now; the recent speed."""
        now = time.perf_counter()
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[0][0] > self._window:
            self._marks.pop(0)
        (then, before), (now, after) = self._marks[0], self._marks[-1]
        return (after - before) / (now - then) if now > then else 0.0


def clock(seconds: float) -> str:
    """1:02:03, 2:03 or 0:03."""
    whole = int(seconds + 0.5)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
