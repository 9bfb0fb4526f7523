"""What a solver tells, in the words and the form of Caffe's log."""

from __future__ import annotations

import time

from caffelite.pycaffe import glog
from caffelite.solver.monitor import LineMonitor, Output, output_lines


class GlogMonitor(LineMonitor):
    """Writes glog's lines; those that count iterations and seconds as Caffe's do."""

    def __init__(self, display: int = 0) -> None:
        super().__init__(glog.write)
        self.display = display
        self._since, self._last = time.perf_counter(), 0

    def on_display(self, iteration: int, loss: float, rate: float, outputs: list[Output]) -> None:
        now = time.perf_counter()
        lapse = now - self._since
        speed = (iteration - self._last) / (lapse or 1)
        self._since, self._last = now, iteration
        self.write(
            f"Iteration {iteration} ({speed:g} iter/s, {lapse:g}s/{self.display} iters), "
            f"loss = {loss:g}"
        )
        for line in output_lines("Train", outputs):
            self.write(f"    {line}")
        self.write(f"Iteration {iteration}, lr = {rate:g}")

    def on_snapshot(self, model: str, state: str) -> None:
        self.write(f"Snapshotting to binary proto file {model}")
        self.write(f"Snapshotting solver state to binary proto file {state}")
