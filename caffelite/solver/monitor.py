"""What a solver tells while it runs, and the plainest listener: lines of text in Caffe's form."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

import numpy as np

from caffelite.blob import Array
from caffelite.errors import printable


@dataclass(frozen=True)
class Output:
    """An output blob's values, and the weight they have in the objective (0: none)."""

    name: str
    values: Array
    weight: float = 0.0

    def lines(self) -> list[str]:
        """ "loss = 0.69 (* 1 = 0.69 loss)", one for each value."""
        lines = []
        for value in np.ravel(self.values):
            term = f" (* {self.weight:g} = {self.weight * value:g} loss)" if self.weight else ""
            lines.append(f"{printable(self.name)} = {value:g}{term}")
        return lines


def output_lines(net: str, outputs: list[Output]) -> list[str]:
    """ "Test net output #0: loss = 0.69 (* 1 = 0.69 loss)": all outputs, numbered through."""
    lines = [line for output in outputs for line in output.lines()]
    return [f"{net} net output #{i}: {line}" for i, line in enumerate(lines)]


class Monitor:
    """Told of what happens in a run; each method may be overridden. This one keeps silent."""

    interval = 0
    """Every how many iterations it wants `on_iteration`; 0: never."""

    def __enter__(self) -> None:
        """The run begins."""

    def __exit__(self, *failure: object) -> None:
        """The run has ended, however."""

    def on_iteration(self, iteration: int, loss: float, rate: float) -> None:
        """An iteration's loss, averaged over `average_loss`, every `interval` iterations."""

    def on_display(self, iteration: int, loss: float, rate: float, outputs: list[Output]) -> None:
        """It is time to show the (averaged) loss and the outputs."""

    def on_test(self, iteration: int, net: int, loss: float | None, outputs: list[Output]) -> None:
        """A test net has been run; outputs are means over its batches."""

    def on_test_batch(self, net: int, done: int, count: int) -> None:
        """A test goes on: so many batches of `count` are done."""

    def on_snapshot(self, model: str, state: str) -> None:
        """A snapshot has been written."""

    def on_note(self, text: str) -> None:
        """Something to know, once."""


class LineMonitor(Monitor):
    """Writes lines as Caffe does, without its time stamps: scripts that scrape them work on."""

    def __init__(self, write: Callable[[str], None] | None = None, file: TextIO | None = None):
        self._file = file
        self.write = write or self._print

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe must not end the run
            print(line, file=self._file or sys.stderr, flush=True)

    def on_display(self, iteration: int, loss: float, rate: float, outputs: list[Output]) -> None:
        self.write(f"Iteration {iteration}, loss = {loss:g}, lr = {rate:g}")
        for line in output_lines("Train", outputs):
            self.write(f"    {line}")

    def on_test(self, iteration: int, net: int, loss: float | None, outputs: list[Output]) -> None:
        self.write(f"Iteration {iteration}, Testing net (#{net})")
        if loss is not None:
            self.write(f"    Test loss: {loss:g}")
        for line in output_lines("Test", outputs):
            self.write(f"    {line}")

    def on_snapshot(self, model: str, state: str) -> None:
        self.write(f"Snapshot: {model}, {state}")

    def on_note(self, text: str) -> None:
        self.write(text)
