"""The policy plateau: the learning rate falls when the loss no longer does.

    rate = base_lr · gamma ^ k

m_i is the mean of the last `average_loss` losses at iteration i, the present one with them. Where
m_i is below the lowest one so far it becomes that: an event. Where `plateau_winsize[k]` iterations
or more have passed since the last event, k grows by 1: an event too. Once there are no more
`plateau_winsize` the rate stays. All of it comes before the update of iteration i, which has the
new rate already.

Source: the SSD fork (weiliu89/caffe), whose snapshots hold k, the lowest mean and the last event.
Ours hold the last losses as well, so that a resumed run is the run that was left.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from caffelite.schema.solver import SolverParameter

NO_LOSS = 1e38
"""What Caffe's snapshots say while there is no lowest loss."""


class Plateau:
    """The rate so far, and the losses that it depends on."""

    def __init__(self, param: SolverParameter) -> None:
        self._base, self._gamma = param.base_lr, param.gamma
        self._windows = list(param.plateau_winsize)
        self._losses: deque[float] = deque(maxlen=max(1, param.average_loss))
        self.step = 0
        """How often the rate has fallen."""
        self.last_event = 0
        self.lowest = math.inf

    def __call__(self, iteration: int) -> float:
        """The rate, by what has been observed; the iteration is not looked at."""
        return float(self._base * self._gamma**self.step)

    def observe(self, iteration: int, loss: float) -> bool:
        """Take note of an iteration's loss, once, before its update. Does the rate fall?"""
        self._losses.append(loss)
        mean = sum(self._losses) / len(self._losses)
        if mean < self.lowest:
            self.lowest, self.last_event = mean, iteration
        if self.step == len(self._windows):
            return False
        if iteration < self.last_event + self._windows[self.step]:
            return False
        self.step, self.last_event = self.step + 1, iteration
        return True

    def said(self, rate: float) -> str:
        """What is said when the rate falls."""
        return (
            f"the loss has not become lower than {self.lowest:g} in "
            f"{self._windows[self.step - 1]} iterations: from iteration {self.last_event} on the "
            f"learning rate is {rate:g}"
        )

    def go_on(self, other: Plateau) -> None:
        """Take over what another one has observed; the fields may differ."""
        self.restore(other.state())

    def state(self) -> dict[str, Any]:
        """What a resumed run has to know, fit for JSON."""
        return {
            "step": self.step,
            "last_event": self.last_event,
            "lowest": self.lowest if self.lowest < math.inf else None,
            "losses": list(self._losses),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state()`."""
        step, event, lowest = int(state["step"]), int(state["last_event"]), state["lowest"]
        losses = [float(loss) for loss in state["losses"]]
        if step < 0 or event < 0:
            raise ValueError(f"step {step} of the policy plateau, its last event at {event}")
        self.step, self.last_event = min(step, len(self._windows)), event
        self.lowest = math.inf if lowest is None else float(lowest)
        self._losses.clear()
        self._losses.extend(losses)

    def restore_caffe(self, step: int, event: int, lowest: float) -> None:
        """Go on from what Caffe's snapshots say."""
        kept = None if lowest >= NO_LOSS else lowest
        self.restore({"step": step, "last_event": event, "lowest": kept, "losses": []})
