"""Inference: layers whose tops only the next layer reads, in a pass that no backward pass follows.

What they would keep for a backward pass is not computed. (Were one to follow, all blobs would be
given memory of their own first, and these steps run again as the layers' own.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from caffelite.blob import Array
from caffelite.engines.numpy.scratch import budget
from caffelite.kernels import parallel
from caffelite.kernels.workspace import shared_workspace
from caffelite.layers.base import Arrays
from caffelite.layers.lrn import LRN
from caffelite.layers.pooling import Pooling, PoolMethod
from caffelite.run.program import Forward, Program, Value
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession


TILE = 1 << 15
"""Values of a part of an LRN within channels."""


def lean(value: Value, session: NumpySession) -> bool:
    """Does a value last no longer than the pass needs it?"""
    return session.memory.placement.owner[value.version] in session.memory.slot


def lean_at(program: Program, at: int, session: NumpySession) -> tuple[int, Bound] | None:
    """What runs the step at `at`, if it is one of these."""
    step = program[at]
    if not isinstance(step, Forward) or len(step.tops) != 1 or len(step.bottoms) != 1:
        return None
    layer = session.layers[step.node.index]
    find = ENTRIES.get(getattr(layer.forward, "__func__", None))
    if find is None or not lean(step.tops[0], session):
        return None
    array = session.memory.array
    scratch = budget([step], session)
    run = find(layer, [array(step.bottoms[0])], [array(step.tops[0])], scratch)
    return None if run is None else (1, run)


def _pooling(layer: Pooling, bottom: Arrays, top: Arrays, scratch: int) -> Bound | None:
    if layer.param.pool != PoolMethod.MAX:
        return None
    arrays = bottom[0], top[0], None
    return partial(layer.kernels.max_pool_forward, *arrays, layer.window, scratch)


def _lrn(layer: LRN, bottom: Arrays, top: Arrays, scratch: int) -> Bound:
    if layer.within:
        return partial(_lrn_within, layer, bottom[0], top[0])
    p = layer.param
    numbers = p.local_size, p.alpha, p.beta, p.k, scratch
    return partial(layer.kernels.lrn_forward, bottom[0], top[0], None, *numbers)


def _lrn_within(layer: LRN, x: Array, y: Array) -> None:
    """A few samples at a time, with no arrays as large as x."""

    def part(at: slice) -> None:
        ws, like = shared_workspace(), x[at].shape
        square, scale, power = (ws.array(name, like, x.dtype) for name in ("s", "t", "p"))
        layer.normalise(x[at], y[at], square, scale, power)

    step = max(1, TILE // max(1, x[:1].size))
    parallel.run(part, parallel.slices(len(x), step), x.size > TILE)


ENTRIES: dict[Any, Callable[..., Bound | None]] = {
    Pooling.forward: _pooling,
    LRN.forward: _lrn,
}
