"""Chains: BatchNorm, the Scale and the ReLU behind it, as one step over tiles of channels.

Each value is then fetched from memory once for the chain and not once for each operation, and
tiles run in threads. What a layer writes is written all the same, unless it lies in memory that it
shares with others and only the next layer reads it. The numbers are the layers' own within
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from caffelite.blob import Array
from caffelite.kernels import normalising
from caffelite.layers.base import Layer
from caffelite.layers.batch_norm import BatchNorm
from caffelite.layers.relu import ReLU
from caffelite.layers.scale import Scale
from caffelite.run.program import Backward, Forward, Program, Value
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.numpy.session import NumpySession

Link = Union[Forward, Backward]
ORDER = (BatchNorm, Scale, ReLU)
"""What a chain has, in the order of the forward pass; each may be missing."""


def chain_at(program: Program, at: int, session: NumpySession) -> tuple[int, Bound] | None:
    """How many steps from `at` on are a chain, and what runs them."""
    links = links_at(program, at, session)
    layers = {type(layer): layer for layer in (session.layers[s.node.index] for s in links)}
    if BatchNorm not in layers and Scale not in layers:
        return None
    bind = _forward if isinstance(links[0], Forward) else _backward
    bound = bind(links, layers, session)
    return None if bound is None else (len(links), bound)


def links_at(program: Program, at: int, session: NumpySession) -> list[Any]:
    """The steps from `at` on that follow each other as in a chain."""
    first = program[at]
    if not isinstance(first, (Forward, Backward)):
        return []
    order = ORDER if isinstance(first, Forward) else ORDER[::-1]
    links: list[Any] = []
    place = 0
    for step in program[at:]:
        if type(step) is not type(first) or (links and not _follows(links[-1], step)):
            break
        layer = session.layers[step.node.index]
        found = [i for i, cls in enumerate(order) if i >= place and _is(layer, cls, step)]
        if not found:
            break
        links.append(step)
        place = found[0] + 1
    return links


def _follows(before: Any, step: Any) -> bool:
    """Does a step read, of all that the step before reads or writes, just what that wrote?"""
    if isinstance(step, Forward):
        return bool(step.bottoms == before.tops)
    return bool(step.top_diffs == before.bottom_diffs)


def _is(layer: Layer, cls: type[Layer], step: Any) -> bool:
    """Is this a layer of a class, with its own methods, and nothing about it that is unusual?"""
    method = "forward" if isinstance(step, Forward) else "backward"
    if getattr(getattr(layer, method), "__func__", None) is not getattr(cls, method):
        return False
    if type(layer) is not cls or len(step.bottoms) != 1 or len(step.tops) != 1:
        return False
    shape = layer.bottom_shapes[0]
    if len(shape) < 2 or 0 in shape:
        return False
    if isinstance(layer, Scale):
        return layer.param.axis in (1, 1 - len(shape)) and layer.params[0].shape == shape[1:2]
    return not (isinstance(layer, ReLU) and layer.slope)


def _planes(session: NumpySession, value: Value) -> Array:
    """A value as (N, C, places)."""
    array = session.memory.array(value)
    return array.reshape(*array.shape[:2], -1)


def apart(arrays: Sequence[Array]) -> bool:
    """Are any two of them the same memory or have none in common?"""
    return all(
        a.ctypes.data == b.ctypes.data or not np.may_share_memory(a, b)
        for i, a in enumerate(arrays)
        for b in arrays[:i]
    )


def _same(a: Array | None, b: Array | None) -> bool:
    return a is not None and b is not None and a.ctypes.data == b.ctypes.data


def _forward(links: Sequence[Forward], layers: dict[Any, Any], session: NumpySession) -> Any:
    norm, scale, _ = (layers.get(cls) for cls in ORDER)
    x = _planes(session, links[0].bottoms[0])
    tops = {type(session.layers[step.node.index]): _planes(session, step.tops[0]) for step in links}
    if not apart([x, *tops.values()]):
        return None
    n, y, z = (tops.get(cls) for cls in ORDER)
    unseen = norm and len(links) > 1 and hidden(links[0].tops[0], session)
    if unseen or _same(n, y) or _same(n, z):
        n = None
    arrays = normalising.Forward(x, n, y, z)
    if norm is None:
        return lambda: arrays.run(None, np.empty(0), None, *_factors(scale))
    return lambda: _normalise(norm, scale, arrays)


def _normalise(norm: BatchNorm, scale: Scale | None, arrays: normalising.Forward) -> None:
    deviation = norm.deviation[:, 0]
    if norm.stored:
        mean, variance = norm.statistics()
        np.sqrt(variance + norm.param.eps, deviation)
        arrays.run(mean, deviation, None, *_factors(scale))
        return
    mean = np.empty_like(deviation)
    found = arrays.run(mean, deviation, norm.param.eps, *_factors(scale))
    assert found is not None
    norm.store(mean, found)


def _factors(scale: Scale | None) -> tuple[Array | None, Array | None]:
    """s and b."""
    if scale is None:
        return None, None
    return scale.params[0].data, scale.params[1].data if scale.param.bias_term else None


def hidden(value: Value, session: NumpySession) -> bool:
    """Is it in memory that it shares with others, and read by the next step alone? Then nobody
    can look at it."""
    owner = session.memory.placement.owner[value.version]
    return owner in session.memory.slot and len(value.version.readers) == 1


def _backward(links: Sequence[Backward], layers: dict[Any, Any], session: NumpySession) -> Any:
    norm, scale, relu = (layers.get(cls) for cls in ORDER)
    by = {type(session.layers[step.node.index]): step for step in links}
    top = _planes(session, links[0].top_diffs[0])
    out = links[-1].bottom_diffs[0]
    dx = None if out is None else _planes(session, out)
    z = _planes(session, by[ReLU].tops[0]) if relu else None
    between = [_planes(session, step.bottom_diffs[0]) for step in links[:-1]]  # type: ignore[arg-type]
    r = between[0] if relu else None
    before = _before(norm, scale, by, session)
    arrays = [a for a in (top, dx, z, before, *between) if a is not None]
    if not apart(arrays):
        return None
    scaled = between[-1] if scale and norm else None
    if _same(scaled, dx):
        scaled = None
    if _same(before, dx) or _same(before, r) or _same(before, top):
        return None
    run = normalising.Backward(top, z, r, before, scaled, dx)
    return _scaling_back(run, norm, scale)


def _before(norm: Any, scale: Any, by: dict[Any, Any], session: NumpySession) -> Array | None:
    """What was scaled, which is what came of the normalisation."""
    if scale is not None and any(scale.learns):
        return _planes(session, by[Scale].bottoms[0])
    if norm is not None and not norm.stored:
        return _planes(session, by[BatchNorm].tops[0])
    return None


def _scaling_back(
    run: normalising.Backward, norm: BatchNorm | None, scale: Scale | None
) -> Callable[[], None]:
    batch = norm is not None and not norm.stored
    deviation = None if norm is None else norm.deviation[:, 0]
    sums = None
    if scale is not None and any(scale.learns):
        sums = np.empty((2, len(scale.params[0].data)), scale.dtype)

    def backward() -> None:
        run.run(deviation, batch, None if scale is None else scale.params[0].data, sums)
        if scale is None or sums is None:
            return
        if scale.param.bias_term and scale.learns[-1]:
            scale.params[-1].diff.__iadd__(sums[0])
        if scale.learns[0]:
            scale.params[0].diff.__iadd__(sums[1])

    return backward
