"""Inference: layers whose tops only the next layer reads, in a pass that no backward pass follows.

What they would keep for a backward pass is not computed. (Were one to follow, all blobs would be
given memory of their own first, and these steps run again as the layers' own.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from caffelite.layers.base import Arrays
from caffelite.layers.lrn import LRN
from caffelite.layers.pooling import Pooling, PoolMethod
from caffelite.run.program import Forward, Program, Value
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession


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
    run = find(layer, [array(step.bottoms[0])], [array(step.tops[0])])
    return None if run is None else (1, run)


def _pooling(layer: Pooling, bottom: Arrays, top: Arrays) -> Bound | None:
    if layer.param.pool != PoolMethod.MAX:
        return None
    return partial(layer.kernels.max_pool_forward, bottom[0], top[0], None, layer.window)


def _lrn(layer: LRN, bottom: Arrays, top: Arrays) -> Bound | None:
    if layer.within:
        return None
    p = layer.param
    numbers = p.local_size, p.alpha, p.beta, p.k
    return partial(layer.kernels.lrn_forward, bottom[0], top[0], None, *numbers)


ENTRIES: dict[Any, Callable[..., Bound | None]] = {
    Pooling.forward: _pooling,
    LRN.forward: _lrn,
}
