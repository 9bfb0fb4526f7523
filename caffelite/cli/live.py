"""A run on a terminal: each fact once, and one line that is kept up to date."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from caffelite.cli.liveline import Part, bar, clock, fitted, rate
from caffelite.schema.solver import SolverParameter
from caffelite.solver.facts import Pace
from caffelite.solver.monitor import LineMonitor, Output

if TYPE_CHECKING:
    from rich.text import Text


class LiveMonitor(LineMonitor):
    """Prints lines as they come, and keeps one line up to date below them."""

    interval = 1

    def __init__(self, param: SolverParameter, file: TextIO | None = None, verbose: bool = False):
        # imported where there is a terminal: a run in a pipe starts sooner
        from rich.console import Console
        from rich.live import Live

        self.console = Console(highlight=False, soft_wrap=True, file=file)
        super().__init__(write=self._line)
        self.last, self.verbose = param.max_iter, verbose
        self.pace = Pace(1, None)
        """Set it when the solver is there."""
        self.iteration, self.loss, self.rate = -1, float("nan"), 0.0
        self._testing = ""
        self._scores: list[str] = []
        self._speed = Speed()
        self._live = Live(
            get_renderable=self._render, console=self.console, refresh_per_second=8, transient=True
        )

    def _line(self, line: str) -> None:
        from rich.text import Text

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
        self._testing = ""

    def on_display(self, iteration: int, loss: float, rate: float, outputs: list[Output]) -> None:
        if self.verbose:
            super().on_display(iteration, loss, rate, outputs)
            return
        others = [o for o in outputs if len(outputs) > 1 or not o.weight]
        words = [f"loss {loss:.4g}", f"lr {rate:.4g}", *(_score(o) for o in others)]
        self.write(f"{iteration:>8,}  {'  '.join(words)}")

    def on_test(self, iteration: int, net: int, loss: float | None, outputs: list[Output]) -> None:
        self._testing = ""
        # what only tells how good the net is says more than its losses
        best_first = sorted(outputs, key=lambda output: bool(output.weight))
        self._scores = [_score(output) for output in best_first]
        if self.verbose:
            super().on_test(iteration, net, loss, outputs)
            return
        which = f"test {net}" if net else "test"
        words = [_score(o) for o in outputs]
        if loss is not None and len(outputs) > 1:
            words.append(f"sum of losses {loss:.4g}")
        self.write(f"{iteration:>8,}  {which}: {'  '.join(words)}")

    def on_test_batch(self, net: int, done: int, count: int) -> None:
        self._testing = f"testing {done:,}/{count:,}"

    def line(self, width: int) -> str:
        """The live line for a terminal of this width."""
        done = self.iteration + 1
        if done <= 0 and not self._testing:
            return ""
        speed = self._speed.at(done)
        left = (self.last - done) / speed if speed else 0.0
        epoch = self.pace.epoch(done)
        parts = [
            Part(f"{done:,}/{self.last:,}"),
            Part(self._testing, 1),
            Part(bar(done, self.last), 8),
            Part(f"epoch {epoch:.2f}" if epoch is not None else "", 5),
            Part(f"loss {self.loss:.4g}" if done else "", 1),
            Part(f"lr {self.rate:.3g}" if done else "", 6),
            Part(rate(speed * self.pace.samples, "samples"), 4),
            Part(f"{clock(left)} left" if speed else "", 2),
            Part(f"test {self._scores[0]}" if self._scores else "", 3),
            Part("  ".join(self._scores[1:]), 9),
        ]
        return fitted(parts, width)

    def _render(self) -> Text:
        # one column stays free: a terminal may wrap at the last one
        from rich.text import Text

        return Text(self.line(self.console.width - 1), no_wrap=True, overflow="crop")


def _score(output: Output) -> str:
    values = output.values.ravel()
    shown = " ".join(f"{v:.4g}" for v in values[:4])
    return f"{output.name} {shown}" + (" ..." if len(values) > 4 else "")


class Speed:
    """Iterations a second over the last few seconds, or over the last iteration if it took longer
    than that."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._marks: list[tuple[float, int]] = []

    def at(self, done: int) -> float:
        """Note that `done` iterations are done now; the recent speed."""
        now, marks = time.perf_counter(), self._marks
        if not marks or done != marks[-1][1]:
            marks.append((now, done))
        while len(marks) > 2 and now - marks[0][0] > self._window:
            marks.pop(0)
        (then, before), (last, after) = marks[0], marks[-1]
        return (after - before) / (last - then) if last > then else 0.0
