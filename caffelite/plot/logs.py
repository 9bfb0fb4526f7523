"""The course of a run, read from its log: losses, accuracies and learning rate by iteration.

Two kinds are understood: JSON lines (PREFIX.jsonl), and text as printed on the screen, by caffelite
or by Caffe with glog's time stamps.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from caffelite.errors import CaffeliteError, Problem, did_you_mean

NUMBER = r"([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|inf|nan))"
STAMP = re.compile(r"^[IWEF]\d{4,8} [\d:.]+ +\d+ [^\]]+\] ?")
LOSS = re.compile(rf"Iteration (\d+)(?: \([^)]*\))?, loss = {NUMBER}(?:, lr = {NUMBER})?$", re.I)
RATE = re.compile(rf"Iteration (\d+)(?: \([^)]*\))?, lr = {NUMBER}$", re.I)
TESTING = re.compile(r"Iteration (\d+)(?: \([^)]*\))?, Testing net \(#(\d+)\)$")
OUTPUT = re.compile(rf"(Train|Test) net output #\d+: (.+?) = {NUMBER}(?: \(.*\))?$", re.I)


@dataclass
class Curve:
    """Values by iteration. Its `split` is "train", or "test" with the number of the test net."""

    name: str
    split: str
    net: int = 0
    values: dict[int, float] = field(default_factory=dict)

    @property
    def is_accuracy(self) -> bool:
        return "acc" in self.name.lower()


@dataclass
class Log:
    """What a log says, in the order of the iterations."""

    source: str
    loss: Curve = field(default_factory=lambda: Curve("loss", "train"))
    """The displayed loss: smoothed, if the solver averages it."""
    rate: Curve = field(default_factory=lambda: Curve("lr", "train"))
    outputs: dict[tuple[str, int, str], Curve] = field(default_factory=dict)
    """By split, number of the test net and name. Outputs with several values are left out."""
    resumed: list[int] = field(default_factory=list)
    """Where the run was taken up again."""
    seed: int | None = None
    """The run's seed, which JSON lines say."""
    at: int = 0

    def curves(self) -> list[Curve]:
        return [self.loss, self.rate, *self.outputs.values()]

    def go_to(self, iteration: int) -> None:
        """The next values are of this iteration. Going back means that the run was taken up again
        from an earlier snapshot: what it had done after that is done anew, and forgotten here."""
        if iteration < self.at:
            self.restart(iteration)
        self.at = iteration

    def restart(self, iteration: int) -> None:
        """The run goes on from a snapshot of this iteration, or starts from 0."""
        for curve in self.curves():
            curve.values = {i: v for i, v in curve.values.items() if i < iteration}
        self.resumed = [i for i in self.resumed if i < iteration]
        if iteration > 0:
            self.resumed.append(iteration)
        self.at = iteration

    def add_outputs(self, split: str, net: int, outputs: dict[str, list[float]]) -> None:
        """Outputs at the present iteration; those of one value make curves."""
        for name, values in outputs.items():
            if len(values) == 1:
                curve = self.outputs.setdefault((split, net, name), Curve(name, split, net))
                curve.values[self.at] = values[0]


def read_log(path: str | os.PathLike[str]) -> Log:
    """The log in a file. Raises CaffeliteError if it is missing or says nothing of a run."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        folder, name = os.path.split(os.fspath(path))
        near = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
        hint = did_you_mean(name, near)
        raise CaffeliteError(Problem(f"{path}: no such file", hint=hint)) from None
    except OSError as error:
        raise CaffeliteError(f"{path}: {error.strerror or error}") from None
    log = Log(str(path))
    if text.lstrip().startswith("{"):
        _read_json(log, text)
    else:
        _read_text(log, text.splitlines())
    if not any(curve.values for curve in log.curves()):
        raise CaffeliteError(
            Problem(
                f"{path}: no losses and no test results",
                expected="the .jsonl of `caffelite train`, or what a training printed",
                hint="the solver's `display` and `test_interval` say how often there are any",
            )
        )
    return log


def _read_json(log: Log, text: str) -> None:
    started = False
    for number, record in _records(log.source, text):
        try:
            event = record["event"]
            if event == "start":
                if started:
                    log.restart(int(record["iteration"]))
                started = True
                log.seed = int(record["seed"])
            elif event in ("train", "test"):
                log.go_to(int(record["iteration"]))
                if event == "train":
                    log.loss.values[log.at] = float(record["loss"])
                    log.rate.values[log.at] = float(record["lr"])
                outputs = {
                    name: [float(v) for v in np.ravel(values)]
                    for name, values in record.get("outputs", {}).items()
                }
                log.add_outputs(event, int(record.get("net", 0)), outputs)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CaffeliteError(
                Problem(
                    f"{log.source}:{number}: not a record of a run "
                    f"({type(error).__name__}: {error})",
                    expected='{"event": "train", "iteration": 0, "loss": 1.1, "lr": 0.1, ...}',
                )
            ) from None


def _records(source: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and records. A last line that breaks off is what a killed run leaves behind."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            raise CaffeliteError(
                f"{source}:{number}:{error.colno}: not JSON: {error.msg}"
            ) from None


def _read_text(log: Log, lines: Iterable[str]) -> None:
    """Lines as Caffe prints them; all others are passed over. The outputs that follow a line
    "Iteration ..." belong to it, one line for each value."""
    split, net = "train", 0
    outputs: dict[str, list[float]] = {}
    for line in lines:
        line = STAMP.sub("", line).strip()
        if found := OUTPUT.match(line):
            split = found[1].lower()
            outputs.setdefault(found[2], []).append(float(found[3]))
            continue
        log.add_outputs(split, net if split == "test" else 0, outputs)
        outputs = {}
        if found := TESTING.match(line):
            log.go_to(int(found[1]))
            net = int(found[2])
        elif found := LOSS.match(line):
            log.go_to(int(found[1]))
            log.loss.values[log.at] = float(found[2])
            if found[3]:
                log.rate.values[log.at] = float(found[3])
        elif found := RATE.match(line):
            log.go_to(int(found[1]))
            log.rate.values[log.at] = float(found[2])
    log.add_outputs(split, net if split == "test" else 0, outputs)
