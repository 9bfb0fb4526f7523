"""NumpySession: steps as the flat calls of NumPy that they come to, neighbours fused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from caffelite.engines.numpy import flattening
from caffelite.engines.numpy.chains import chain_at
from caffelite.engines.numpy.flat import flat_at
from caffelite.engines.numpy.folding import folded_at
from caffelite.engines.numpy.inference import lean_at
from caffelite.engines.numpy.scratch import spare, with_room
from caffelite.run.program import Backward, Forward, Program, Step
from caffelite.run.session import Bound, Session, Several


class NumpySession(Session):
    """The layers' own methods; where a layer has an entry in `flattening`, its calls without the
    method around them, which is what a small net spends its time on."""

    @cached_property
    def spare(self) -> int:
        """Bytes of scratch for each thread beside what is free in the blobs' buffer."""
        return spare(self.memory)

    def bind(self, program: Program, fresh: bool = False) -> list[Bound]:
        bound: list[Bound] = []
        for at, step in enumerate(program):
            if len(bound) > at:
                continue  # done by the step before
            fused = self._fused(program, at)
            bound += fused or [self._flat(step, fresh) or self._single(step)]
        return bound

    def _single(self, step: Step) -> Bound:
        return with_room(self.bind_step(step), [step], self)

    def _fused(self, program: Program, at: int) -> list[Bound] | None:
        """What runs the steps from `at` on that are done as one."""
        found = (
            folded_at(program, at, self)
            or chain_at(program, at, self)
            or lean_at(program, at, self)
            or flat_at(program, at, self)
        )
        if found is None:
            return None
        count, bound = found
        bound = with_room(bound, program[at : at + count], self)
        return [bound, *[Several()] * (count - 1)]

    def _flat(self, step: Step, fresh: bool) -> Bound | None:
        if not isinstance(step, (Forward, Backward)):
            return None
        layer = self.layers[step.node.index]
        method = layer.forward if isinstance(step, Forward) else layer.backward
        calls_of = flattening.entries.get(original(method))
        if calls_of is None:
            return None
        if isinstance(step, Forward):
            calls = calls_of(layer, self._arrays(step.bottoms), self._arrays(step.tops))
        else:
            # a layer that shares parameters with another adds to the gradients of all of them
            write = fresh and layer.gradients is self.setting.gradients
            dx = None if step.bottom_diffs[0] is None else self.memory.array(step.bottom_diffs[0])
            ends = (self._arrays(v) for v in (step.tops, step.top_diffs, step.bottoms))
            calls = calls_of(layer, *ends, dx, write)
        return None if calls is None else Several(calls)


def original(method: Callable[..., Any]) -> object:
    """The function of a method as its class has it; None where this object has another instead."""
    return getattr(method, "__func__", None)
