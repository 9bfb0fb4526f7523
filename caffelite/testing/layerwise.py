"""Are the gradients of each layer of a net right? Finite differences, layer by layer.

    net = caffelite.Net("f.net", caffelite.TRAIN, dtype=np.float64, engine="numpy")
    for found in check_layers(net):
        print(found.layer, found.result)

Each layer is run by itself on what it reads in the net, and a gradient is wrong where it is made,
not in all layers before. See `caffelite.testing.gradients` for how slopes are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Problem, did_you_mean
from caffelite.layers.base import Layer
from caffelite.net import Net
from caffelite.plan.gradients import Need
from caffelite.run.executor import FORWARD
from caffelite.run.program import Forward
from caffelite.testing.gradients import TOLERANCE, Result, Slope, compare, slope

ENTRIES = 100
"""Single entries that are looked at where a gradient is wrong."""


@dataclass(frozen=True)
class Entry:
    """One number of an array whose gradient is wrong."""

    index: tuple[int, ...]
    slope: Slope


@dataclass(frozen=True)
class Found:
    """The gradient of one bottom or parameter of a layer."""

    layer: str
    type: str
    blob: str
    """ "bottom x", or "parameter 0"."""
    shape: tuple[int, ...]
    result: Result
    worst: tuple[Entry, ...] = ()
    """The entries that are most wrong, of those looked at; none if the gradient is right."""


def check_layers(
    net: Net,
    names: Sequence[str] = (),
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    worst: int = 3,
) -> list[Found]:
    """Check every bottom and parameter that a net's layers (or those of these `names`) compute a
    gradient for, at the values that inputs and parameters have now. Parameters, chance and
    statistics are put back. Raises CaffeliteError if the net is not float64, or has none to check.
    """
    if net.dtype != np.float64:
        raise CaffeliteError(Problem("gradients are checked in float64", expected="float64"))
    known = [layer.name for layer in net.layers]
    for name in names:
        if name not in known:
            raise CaffeliteError(Problem(f'no layer "{name}"', hint=did_you_mean(name, known)))
    rng = np.random.default_rng(seed)
    found: list[Found] = []
    for index, bottoms, state in _bottoms(net):
        layer, need = net.layers[index], net.plan.needs[index]
        if need.backward and (not names or layer.name in names):
            bench = _LayerBench(net, layer, need, bottoms, state, rng)
            found += bench.check(rng, tolerance, worst)
    if not found:
        raise CaffeliteError(
            Problem(
                f'net "{net.name}" has no gradient to check',
                hint="give it a loss, or write force_backward: true",
            )
        )
    return found


def _bottoms(net: Net) -> Iterable[tuple[int, list[Array], dict[str, object]]]:
    """Each layer with copies of what it reads, as it reads it, and its state before it runs."""
    executor = net.executor
    for step, bound in executor.steps(FORWARD):
        if isinstance(step, Forward):
            read = [executor.session.look(value).copy() for value in step.bottoms]
            layer = net.layers[step.node.index]
            yield step.node.index, read, layer.state()
        bound()


class _LayerBench:
    """One running layer with arrays of its own."""

    def __init__(
        self,
        net: Net,
        layer: Layer,
        need: Need,
        bottoms: list[Array],
        state: dict[str, object],
        rng: np.random.Generator,
    ) -> None:
        self.net, self.layer, self.need, self.state = net, layer, need, state
        self.streams = net.streams.state()
        self.bottoms = bottoms
        self.values = [blob.data.copy() for blob in layer.params]
        self.diffs = [blob.diff.copy() for blob in layer.params]
        self.tops = [np.zeros(shape) for shape in layer.top_shapes]
        weights = net.plan.loss_weights
        versions = net.plan.graph.nodes[net.layers.index(layer)].tops
        self.top_diffs = [
            np.full(v_shape, weights[v])
            if v in weights
            else rng.standard_normal(v_shape) * (not layer.loss)
            for v, v_shape in zip(versions, layer.top_shapes)
        ]
        self._forward()
        self.start = [top.copy() for top in self.tops]
        terms = (np.abs(d * top).sum() for d, top in zip(self.top_diffs, self.tops))
        self.magnitude = 1.0 + float(sum(terms))

    def _forward(self) -> None:
        self.net.streams.restore(self.streams)
        self.layer.restore(self.state)
        self.layer.forward(self.bottoms, self.tops)

    def f(self) -> float:
        self._put_back_statistics()
        self._forward()
        pairs = zip(self.top_diffs, self.tops, self.start)
        return float(sum(np.vdot(d, top - start) for d, top, start in pairs))

    def _put_back_statistics(self) -> None:
        for blob, value, learns in zip(self.layer.params, self.values, self.layer.learns):
            if not learns:
                blob.data[...] = value

    def check(self, rng: np.random.Generator, tolerance: float, worst: int) -> list[Found]:
        layer = self.layer
        for blob in layer.params:
            blob.diff[...] = 0
        self._put_back_statistics()
        self._forward()
        bottom_diffs = [
            np.zeros(b.shape) if wanted else None
            for b, wanted in zip(self.bottoms, self.need.bottoms)
        ]
        layer.backward(self.tops, self.top_diffs, self.bottoms, bottom_diffs)
        checked = [
            (f"bottom {name}", values, diff)
            for name, values, diff in zip(layer.spec.bottom, self.bottoms, bottom_diffs)
            if diff is not None
        ]
        checked += [
            (f"parameter {i}", blob.data, blob.diff.copy())
            for i, (blob, learns) in enumerate(zip(layer.params, layer.learns))
            if learns
        ]
        try:
            return [self._compare(*item, rng, tolerance, worst) for item in checked]
        finally:
            for blob, value, diff in zip(layer.params, self.values, self.diffs):
                blob.data[...], blob.diff[...] = value, diff
            self.net.streams.restore(self.streams)
            layer.restore(self.state)

    def _compare(
        self,
        name: str,
        values: Array,
        diff: Array,
        rng: np.random.Generator,
        tolerance: float,
        worst: int,
    ) -> Found:
        result = compare(
            name, self.f, values, diff, rng, magnitude=self.magnitude, tolerance=tolerance
        )
        entries = () if result.ok else self._entries(values, diff, rng, tolerance, worst)
        return Found(self.layer.name, self.layer.type, name, values.shape, result, entries)

    def _entries(
        self, values: Array, diff: Array, rng: np.random.Generator, tolerance: float, worst: int
    ) -> tuple[Entry, ...]:
        chosen = rng.permutation(values.size)[:ENTRIES]
        found = []
        for flat in chosen:
            index = np.unravel_index(flat, values.shape)
            unit = np.zeros(values.shape)
            unit[index] = 1
            one = slope(self.f, values, unit, float(diff[index]), self.magnitude, tolerance)
            if not one.error <= tolerance:
                found.append(Entry(tuple(int(i) for i in index), one))
        found.sort(key=lambda e: -np.nan_to_num(e.slope.error, nan=np.inf))
        return tuple(found[:worst])
