"""Session: one net on one engine. This one is NumPy's: each layer's own methods on host arrays.

An engine derives its own from it, takes over the steps it is good at and leaves the others here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, SupportsFloat

import numpy as np

from caffelite.blob import Array, Handed, Shape
from caffelite.layers.base import Gradients, Layer
from caffelite.plan.build import Plan
from caffelite.plan.graph import Version
from caffelite.plan.params import Param
from caffelite.run.arena import Arena
from caffelite.run.memory import Memory
from caffelite.run.program import Add, Backward, Copy, Fill, Forward, Program, Value

Bound = Callable[[], Any]
"""A step with its arrays: calling it runs it."""


class Several(tuple[Bound, ...]):
    """A step that is several calls, one after the other."""

    def __call__(self) -> None:
        for call in self:
            call()


def flat(steps: Iterable[Bound]) -> list[Bound]:
    """The single calls of these steps."""
    calls: list[Bound] = []
    for step in steps:
        calls.extend(flat(step) if isinstance(step, Several) else [step])
    return calls


@dataclass(frozen=True, eq=False)
class Setting:
    """What a session works with: a plan, the running copies of its layers, their memory."""

    plan: Plan
    layers: Sequence[Layer]
    memory: Memory
    arena: Arena
    gradients: Gradients


@dataclass(frozen=True, eq=False)
class Vectors:
    """What an update of the parameters computes with."""

    xp: Any
    """Array functions: NumPy, or a module with the same ones for an engine's own vectors."""
    number: Callable[[float], Any]
    """Makes an array of no axes, of the parameters' type."""
    parameters: Any
    """Their values and gradients (`data`, `diff`), and where each lies (`params`, `slices`)."""
    block: int | None
    """How many values to work on at a time; None: as many as fit the cache."""
    to_host: Callable[[Any], Array]
    """A vector as a host array: the same memory where that can be, else a copy."""
    repeat: Callable[[Bound, str | None], Bound] | None = None
    """Of vectors on a device: makes a call of one that only works on them, in the same memory each
    time, that may be recorded and replayed; unless there is a reason why not. None: the vectors are
    the host's, whose numbers cost nothing to read."""


class Session:
    """Binds the steps of programs to memory. `previous` is the session of the same net before its
    shapes or its memory changed."""

    engine = "numpy"
    lazy_loss = False
    """Is a loss costly to read, so that it should only be read where it is shown?"""
    lets_go = False
    """Are gradients of blobs let go of once they have been used?"""
    has_let_go = False
    """Has a pass been bound that does so?"""
    whole = False
    """Are passes run as a whole, layers included whose top shapes depend on values?"""

    def __init__(self, setting: Setting, previous: Session | None = None) -> None:
        self.setting = setting
        self.plan, self.layers, self.memory = setting.plan, setting.layers, setting.memory
        weights = self.plan.loss_weights
        self._losses = [(self.memory.array(Value(v)), weight) for v, weight in weights.items()]

    def bind(self, program: Program, fresh: bool = False) -> list[Bound]:
        """What runs each of the program's steps. `fresh`: the parameters' gradients that a backward
        pass computes are written, not added to; `gradients.fresh` is set while it runs, too."""
        return [self.bind_step(step) for step in program]

    def bind_step(self, step: object) -> Bound:
        """One step on host arrays."""
        array, many = self.memory.array, self._arrays
        if isinstance(step, Forward):
            layer = self.layers[step.node.index]
            return partial(layer.forward, many(step.bottoms), many(step.tops))
        if isinstance(step, Backward):
            layer = self.layers[step.node.index]
            diffs = Handed(None if v is None else array(v) for v in step.bottom_diffs)
            ends = many(step.tops), many(step.top_diffs), many(step.bottoms)
            return partial(layer.backward, *ends, diffs)
        if isinstance(step, Fill):
            return partial(array(step.value).fill, step.number)
        if isinstance(step, Add):
            to = array(step.to)
            return partial(np.add, to, array(step.share), to)
        if isinstance(step, Copy):
            return partial(np.copyto, array(step.to), array(step.source))
        raise TypeError(f"no step: {step!r}")

    def _arrays(self, values: Sequence[Value]) -> Handed[Array]:
        return Handed(self.memory.array(v) for v in values)

    def together(
        self,
        program: Program,
        before: Sequence[Bound],
        steps: Sequence[Bound],
        looked_into: str | None = None,
    ) -> list[Bound]:
        """What runs a whole pass again and again: calls that come `before`, then those that `bind`
        gave for the program's steps. `looked_into`: what somebody does between the steps, or with
        all blobs behind them, if so."""
        return flat([*before, *steps])

    def let_gradients_go(self) -> None:
        """Let the passes bound from now on let go of gradients once they have been used, but for
        those of parameters and inputs; where the engine can."""

    def runs_on(self, index: int) -> str:
        """The engine that runs this layer: another than the net's own where it has no kernel."""
        return self.engine

    def ready(self) -> None:
        """The layers are prepared; from here on others may be given arrays."""

    def keep(self, versions: Iterable[Version]) -> None:
        """Somebody asks for the data of these versions, from now on in every pass."""

    def shapes(self) -> Mapping[Version, Shape]:
        """Of a session that runs passes as a whole: the shapes of tops that depend on values, as
        the last pass found them."""
        return {}

    def finish(self) -> None:
        """Wait until all that has been started is done."""

    def look(self, value: Value) -> Array:
        """A value as a host array, up to date. The caller may write into it at any time."""
        return self.memory.array(value)

    def give(self, value: Value, array: Array) -> None:
        """From now on a value lies in this array, whose content counts."""
        self.memory.replace(value, array)

    def clear(self, params: Sequence[Param]) -> Bound:
        """What sets the gradients of these parameters to zero."""
        arena = self.setting.arena
        where = dict(zip(arena.params, arena.slices))
        parts = [arena.raw_diff[where[p]] for p in params if p in where]
        return Several(partial(part.fill, 0) for part in parts)

    def vectors(self) -> Vectors:
        """What an update of the parameters computes with."""
        arena = self.setting.arena
        return Vectors(np, partial(np.array, dtype=arena.dtype), arena, None, np.asarray)

    def pending_loss(self) -> SupportsFloat:
        """The loss, where it is costly to read: it becomes a number when it is read, also after
        the next pass. It can be added to others and divided."""
        return self.loss()

    def loss(self) -> float:
        """The weighted sum of the losses, as the last forward pass left them."""
        loss = 0.0
        for array, weight in self._losses:
            loss += weight * (array.item() if array.ndim == 0 else float(array.sum()))
        return loss
