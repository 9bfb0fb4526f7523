"""Element by element: large ReLU, Eltwise and gradient sums, neighbours together, in flat tiles.

Tiles run in threads; a tile goes through all neighbours while it is cached. The results are those
of the layers' own methods, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caffelite.blob import Array
from caffelite.engines.numpy.chains import apart, chain_at
from caffelite.kernels import parallel
from caffelite.kernels.workspace import rectify, shared_workspace
from caffelite.layers.base import Layer
from caffelite.layers.eltwise import Eltwise, EltwiseOp
from caffelite.layers.relu import ReLU
from caffelite.run.program import Add, Backward, Forward, Program, Step, Value
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession

LEAST = 1 << 16
"""Fewer values are left to the layers' own methods."""
MOST = 8
"""So many steps are done together at most."""
TILE = 1 << 15
"""Values of a tile."""
LARGE = 1 << 18
"""Fewer values than this are done before another thread has woken."""


class Work(NamedTuple):
    """A function of stretches of arrays of one size."""

    function: Callable[..., Any]
    arrays: tuple[Array, ...]


def flat_at(program: Program, at: int, session: NumpySession) -> tuple[int, Bound] | None:
    """How many steps from `at` on go element by element, and what runs them."""
    works: list[Work] = []
    for number, step in enumerate(program[at : at + MOST], at):
        work = _work(step, session)
        if work is None or work.arrays[0].size < LEAST:
            break
        if works and (work.arrays[0].size != works[0].arrays[0].size):
            break
        if works and chain_at(program, number, session) is not None:
            break
        if not apart([a for w in (*works, work) for a in w.arrays]):
            break
        works.append(work)
    if not works:
        return None
    return len(works), partial(_run, [Work(f, tuple(map(_line, a))) for f, a in works])


def _run(works: Sequence[Work]) -> None:
    def tile(at: slice) -> None:
        for function, arrays in works:
            function(*(a[at] for a in arrays))

    size = works[0].arrays[0].size
    parallel.run(tile, parallel.slices(size, TILE), size > LARGE)


def _line(array: Array) -> Array:
    line = array.reshape(-1)
    assert np.may_share_memory(line, array)
    return line


def _work(step: Step, session: NumpySession) -> Work | None:
    array = session.memory.array
    if isinstance(step, Add):
        return Work(_add, (array(step.to), array(step.share)))
    if not isinstance(step, (Forward, Backward)):
        return None
    layer = session.layers[step.node.index]
    if isinstance(step, Forward):
        return _forward(layer, step, array)
    return _backward(layer, step, array)


def _forward(layer: Layer, step: Forward, array: Callable[[Value], Array]) -> Work | None:
    bottoms, tops = tuple(map(array, step.bottoms)), tuple(map(array, step.tops))
    if _own(layer.forward, ReLU.forward) and isinstance(layer, ReLU) and not layer.slope:
        return Work(_rectify, (*tops, *bottoms))
    if _own(layer.forward, Eltwise.forward) and isinstance(layer, Eltwise) and _adds(layer):
        return Work(_sum, (*tops, *bottoms))
    return None


def _backward(layer: Layer, step: Backward, array: Callable[[Value], Array]) -> Work | None:
    diffs = tuple(array(v) for v in step.bottom_diffs if v is not None)
    if not diffs or len(step.tops) != 1:
        return None
    top, dy = array(step.tops[0]), array(step.top_diffs[0])
    if _own(layer.backward, ReLU.backward) and isinstance(layer, ReLU) and not layer.slope:
        return Work(_unrectify, (*diffs, top, dy))
    if _own(layer.backward, Eltwise.backward) and isinstance(layer, Eltwise) and _adds(layer):
        return Work(_copy, (dy, *diffs))
    return None


def _own(method: Any, expected: Any) -> bool:
    return getattr(method, "__func__", None) is expected


def _adds(layer: Eltwise) -> bool:
    """A plain sum?"""
    p = layer.param
    return bool(p.operation == EltwiseOp.SUM and all(c == 1 for c in p.coeff))


def _add(to: Array, share: Array) -> None:
    np.add(to, share, to)


def _rectify(y: Array, x: Array) -> None:
    rectify(x, shared_workspace(), y)


def _sum(y: Array, first: Array, second: Array, *others: Array) -> None:
    np.add(first, second, y)
    for x in others:
        np.add(y, x, y)


def _unrectify(dx: Array, y: Array, dy: Array) -> None:
    positive = shared_workspace().array("better", y.shape, np.bool_)
    np.greater(y, y.dtype.type(0), positive)
    np.multiply(dy, positive, dx)


def _copy(dy: Array, *diffs: Array) -> None:
    for dx in diffs:
        np.copyto(dx, dy)
