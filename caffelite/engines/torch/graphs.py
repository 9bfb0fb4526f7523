"""Graphs: a device's work recorded once and started again as a whole.

A recording (CUDA's "graph") holds the kernels and the addresses that they read and write; no Python
runs when it is replayed. So nothing that changes from one run to the next may be part of it: such
values are put into memory that the recording reads, before the replay.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, Protocol

import torch

log = logging.getLogger("caffelite")

VARIABLE = "CAFFELITE_GRAPHS"
WARM_UPS = 2
"""So many runs come before the one that is recorded: libraries choose their kernels and take their
workspaces in the first, and the second reads memory where the first has left it."""
Run = Callable[[], object]
_said: set[str] = set()


class Graphs(Protocol):
    """What records on a device."""

    def warm_up(self, run: Run) -> None:
        """Do the work as it is, where recordings are made."""

    def capture(self, run: Run) -> Run:
        """Record what `run` starts on the device, without doing it; what replays it. Raises
        RuntimeError if there is something that cannot be recorded."""


class CudaGraphs:
    """torch.cuda.CUDAGraph, on a stream beside the current one. Each recording has memory of its
    own: what one has computed outlasts the replay of another."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None

    @property
    def stream(self) -> torch.cuda.Stream:
        """The side stream, made when it is first needed."""
        if self._stream is None:
            untyped: Any = torch.cuda.Stream
            self._stream = untyped(self._device)
        stream: torch.cuda.Stream = self._stream
        return stream

    def warm_up(self, run: Run) -> None:
        current = torch.cuda.current_stream(self._device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            run()
        current.wait_stream(self.stream)

    def capture(self, run: Run) -> Run:
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        # only this thread's calls count: others read data meanwhile, or run another net
        recording = torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local")
        try:
            with torch.cuda.device(self._device), recording:
                run()
        finally:
            torch.cuda.set_stream(current)  # a recording that fails leaves the other one
        replay: Run = graph.replay
        return replay


def graphs_of(device: torch.device) -> Graphs | None:
    """What records on this device, if anything does and CAFFELITE_GRAPHS=0 does not forbid it."""
    off = os.environ.get(VARIABLE, "").lower() in ("0", "off", "no", "false")
    return None if off or device.type != "cuda" else CudaGraphs(device)


def say(text: str) -> None:
    """One line, once."""
    if text not in _said:
        _said.add(text)
        log.warning("%s", text)


class Recorded:
    """Work that always reads and writes the same memory, such as an update: run as it is at first,
    then recorded, and replayed from then on."""

    def __init__(self, graphs: Graphs, run: Run, what: str) -> None:
        self._graphs, self._run, self._what = graphs, run, what
        self._left = WARM_UPS
        self.replay: Run | None = None

    def __call__(self) -> None:
        if self.replay is None and self._left == 0:
            try:
                self.replay = self._graphs.capture(self._run)
            except RuntimeError as error:
                say(f"{self._what} is not captured: {first_line(error)}")
                self._left = -1
        if self.replay is not None:
            self.replay()
        elif self._left > 0:
            self._left -= 1
            self._graphs.warm_up(self._run)
        else:
            self._run()


def first_line(error: BaseException) -> str:
    """What is wrong, in a line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
