"""Watching a test's output: stop early when it gets no better, keep the parameters of the best.

    watch: "accuracy"   patience: 5   keep_best: true

A test is better if its value is above the best one so far (below it for a loss); then `keep_best`
writes the parameters. `patience` counts the tests since one was better by more than `min_delta`
than the last one that was; when that many have passed the run ends. Beyond Caffe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from caffelite.errors import Problem, SolverError, did_you_mean
from caffelite.plan.build import Plan
from caffelite.schema.solver import SolverParameter, WatchMode


@dataclass(frozen=True)
class Watched:
    """Which output is watched, of which test net, and whether a higher value of it is better."""

    net: int
    output: str
    higher: bool


class Watch:
    """How good the tests have been."""

    def __init__(self, param: SolverParameter, watched: Watched) -> None:
        self.param = param
        self.net, self.output, self.higher = watched.net, watched.output, watched.higher
        self.best: float | None = None
        self.best_iter = 0
        self._reference: float | None = None
        """The value that `patience` waits to see bettered."""
        self._waited = 0
        self._last = -1

    def observe(self, iteration: int, value: float) -> bool:
        """Take note of a test; is it the best so far? A test that was seen before, as after a
        resume, does not count again."""
        if iteration <= self._last:
            return False
        self._last = iteration
        if self._better(value, self._reference, self.param.min_delta):
            self._reference, self._waited = value, 0
        else:
            self._waited += 1
        if not self._better(value, self.best, 0.0):
            return False
        self.best, self.best_iter = value, iteration
        return True

    def _better(self, value: float, than: float | None, by: float) -> bool:
        if than is None:
            return value == value  # not for a nan
        return value - than > by if self.higher else than - value > by

    @property
    def exhausted(self) -> bool:
        """Is it time to stop?"""
        return 0 < self.param.patience <= self._waited

    def verdict(self) -> str:
        """Why the run stops, in one line."""
        better = "higher" if self.higher else "lower"
        by = f" by more than {self.param.min_delta:g}" if self.param.min_delta else ""
        return (
            f"stopping early: {self.output} has not become {better}{by} in {self._waited} tests; "
            f"the best, {self.best if self.best is not None else float('nan'):g}, was at iteration "
            f"{self.best_iter}"
        )

    def state(self) -> dict[str, Any]:
        """What a resumed run has to know, fit for JSON."""
        return {
            "output": [self.net, self.output, self.higher],
            "best": self.best,
            "best_iter": self.best_iter,
            "reference": self._reference,
            "waited": self._waited,
            "last": self._last,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, unless it is of another output."""
        if state.get("output") == [self.net, self.output, self.higher]:
            self.best, self.best_iter = state["best"], state["best_iter"]
            self._reference = state["reference"]
            self._waited, self._last = state["waited"], state["last"]


def check_net(param: SolverParameter, tests: int) -> None:
    """Refuse a `watch_net` beyond the test nets."""
    if param.watch_net < tests:
        return
    asks = "watch_net" if param.has("watch_net") else "watch"
    raise SolverError(
        Problem(
            f"there is no test net #{param.watch_net} to watch",
            param.span(asks),
            f"one of {tests} test nets, counted from 0"
            if tests
            else "a test net, and how often to test, test_interval: 500",
        )
    )


def find_watched(param: SolverParameter, plan: Plan) -> Watched:
    """The output that `watch` names, of the plan of the watched test net. Raises SolverError if it
    cannot be watched."""
    name, outputs = param.watch, plan.graph.outputs
    if name not in outputs:
        raise SolverError(
            Problem(
                f'the test net has no output "{name}"',
                param.span("watch"),
                f"one of {', '.join(outputs)}" if outputs else "a test net that has outputs",
                did_you_mean(name, outputs),
            )
        )
    version = plan.graph.blobs[name]
    count = math.prod(plan.shapes[version])
    if count != 1 and not plan.layers[version.maker.index].tallies:
        raise SolverError(
            Problem(
                f'output "{name}" cannot be watched: it has {count} values',
                param.span("watch"),
                "an output of one value, such as a loss or an accuracy",
            )
        )
    if param.watch_mode != WatchMode.AUTO:
        return Watched(param.watch_net, name, param.watch_mode == WatchMode.HIGHER)
    layer = plan.layers[version.maker.index]
    higher, weight = layer.higher_is_better, plan.loss_weights.get(version)
    if higher is None and weight:
        higher = weight < 0
    if higher is None:
        raise SolverError(
            Problem(
                f'is a higher "{name}" better, or a lower one? It is made by a layer of type '
                f"{layer.type}",
                param.span("watch"),
                "watch_mode: HIGHER or watch_mode: LOWER",
            )
        )
    return Watched(param.watch_net, name, higher)
