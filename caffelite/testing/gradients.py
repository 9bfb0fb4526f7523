"""Are the gradients right? Finite differences, in float64.

    net = caffelite.Net("f.net", caffelite.TRAIN, dtype=np.float64)
    net.blobs["data"].data[...] = x
    for result in caffelite.gradcheck.check(net):
        print(result)

For f = Σ d·top, with d a fixed gradient at each output, the backward pass gives ∇f. It is held
against slopes of f: ⟨∇f, u⟩ and (f(x + εu) − f(x − εu)) / 2ε must agree for every direction u, the
unit vectors of a small array and some random directions of any. In float64 they agree to about
1e-7, so that an error of 0.1 % in a gradient shows.

At a kink (ReLU at 0) there is no gradient, only slopes to either side. Smaller steps are tried
before a kink is believed, and a gradient between both slopes is then accepted and said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Problem

if TYPE_CHECKING:
    from caffelite.net import Net
    from caffelite.plan.graph import Version
    from caffelite.plan.params import Param

TOLERANCE = 1e-5
STEPS = (1e-5, 1e-6, 1e-7)
SMALL = 40
"""Arrays up to this size are checked element by element."""


@dataclass(frozen=True)
class Slope:
    """One direction: the slope that the gradient gives, and the one that was measured."""

    analytic: float
    numeric: float
    error: float
    """|analytic − numeric|, relative to the larger; what rounding explains is left out."""
    kink: bool = False


@dataclass(frozen=True)
class Result:
    """The check of one array's gradient: its worst direction stands for all."""

    name: str
    worst: Slope
    directions: int
    kinks: int
    """In how many directions there is no gradient, only two slopes."""
    tolerance: float = TOLERANCE

    @property
    def ok(self) -> bool:
        return self.worst.error <= self.tolerance

    def __str__(self) -> str:
        s = self.worst
        kinks = f", {self.kinks} at a kink" if self.kinks else ""
        return (
            f"{self.name}: {'right' if self.ok else 'WRONG'}: analytic {s.analytic:.9g}, "
            f"numeric {s.numeric:.9g}, relative error {s.error:.1e} "
            f"(worst of {self.directions} directions{kinks})"
        )


def compare(
    name: str,
    f: Callable[[], float],
    x: Array,
    gradient: Array,
    rng: np.random.Generator,
    *,
    magnitude: float = 1.0,
    tolerance: float = TOLERANCE,
    directions: int = 4,
) -> Result:
    """Hold `gradient` against the slopes of `f`, which reads `x`; `x` is changed and put back.

    `magnitude` is the size of the terms that f adds up: it tells how far rounding goes."""
    slopes = [
        slope(f, x, u, float(np.vdot(gradient, u)), magnitude, tolerance)
        for u in _directions(x.shape, directions, rng)
    ]
    # a NaN is the worst of all
    worst = max(slopes, key=lambda s: np.inf if np.isnan(s.error) else s.error)
    return Result(name, worst, len(slopes), sum(s.kink for s in slopes), tolerance)


def _directions(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Iterator[Array]:
    for _ in range(count):
        yield rng.standard_normal(shape)
    size = int(np.prod(shape))
    if size <= SMALL:
        yield from np.eye(size).reshape(size, *shape)


def slope(
    f: Callable[[], float], x: Array, u: Array, analytic: float, magnitude: float, tolerance: float
) -> Slope:
    """The slope of `f` at `x` in the direction `u`, beside what the gradient says of it; see
    `compare`."""
    at = x.copy()

    def f_at(step: float) -> float:
        np.add(at, step * u, out=x)
        return f()

    try:
        for step in STEPS:
            right, left = f_at(step), f_at(-step)
            numeric = (right - left) / (2 * step)
            rounding = 30 * np.finfo(np.float64).eps * magnitude / step
            scale = max(abs(analytic), abs(numeric), rounding / tolerance)
            error = abs(analytic - numeric) / scale
            if error <= tolerance:
                return Slope(analytic, numeric, error)
        here = f_at(0)
        low, high = sorted(((right - here) / step, (here - left) / step))
        between = low - rounding <= analytic <= high + rounding
        if between and high - low > 10 * rounding:
            return Slope(analytic, numeric, 0.0, kink=True)
        return Slope(analytic, numeric, error)
    finally:
        x[...] = at


def check(net: Net, *, seed: int = 0, tolerance: float = TOLERANCE) -> list[Result]:
    """Check the gradient of each input and learned parameter of a net, end to end, at the values
    that its inputs and parameters have now.

    f is the objective, or with `force_backward` a random combination of all outputs. Chance
    (dropout), running statistics and the place in the data are alike in every evaluation; inputs,
    parameters and these are put back at the end. Where a gradient is cut on purpose, by
    `propagate_down: false` or because a layer has none for that bottom, the slope is not: what
    comes before shows as wrong.

    Raises CaffeliteError if the net is not float64, or has no gradient to check.
    """
    if net.dtype != np.float64:
        raise CaffeliteError(
            Problem(
                f"gradients are checked in float64, but this net is {net.dtype.name}",
                expected="a net built with dtype=np.float64",
            )
        )
    rng = np.random.default_rng(seed)
    bench = _Bench(net, rng)
    gradients = bench.gradients()
    if not gradients:
        raise CaffeliteError(
            Problem(
                f'net "{net.name}" has no gradient to check',
                hint="give it a loss, or write force_backward: true",
            )
        )
    try:
        return [
            compare(
                name,
                bench.f,
                bench.values[name],
                gradient,
                rng,
                magnitude=bench.magnitude,
                tolerance=tolerance,
            )
            for name, gradient in gradients.items()
        ]
    finally:
        bench.rewind()


class _Bench:
    """A net whose every pass starts from the same state; `values` may be changed in between."""

    def __init__(self, net: Net, rng: np.random.Generator) -> None:
        self.net = net
        self.blobs = {name: net.blobs[name] for name in net.inputs}
        self.learned: list[str] = []
        seen: set[Param] = set()  # layers may share a parameter
        for layer, uses in zip(net.layers, net.plan.uses):
            for i, (blob, use) in enumerate(zip(layer.params, uses)):
                if use.param not in seen:
                    self.blobs[f"{layer.name}[{i}]"] = blob
                    self.learned += [f"{layer.name}[{i}]"] * (
                        layer.learns[i] and i not in layer.by_rule
                    )
                seen.add(use.param)
        self.values = {name: blob.data.copy() for name, blob in self.blobs.items()}
        self.streams = net.streams.state()
        self.states = [layer.state() for layer in net.layers]
        net.forward()
        self.weights = _top_gradients(net, rng)
        self.start = {version: net.executor.look_at(version).copy() for version in self.weights}
        terms = (np.abs(d * self.start[version]).sum() for version, d in self.weights.items())
        self.magnitude = 1.0 + float(sum(terms))

    def rewind(self) -> None:
        for name, blob in self.blobs.items():
            blob.data[...] = self.values[name]
        self.net.streams.restore(self.streams)
        for layer, state in zip(self.net.layers, self.states):
            layer.restore(state)

    def f(self) -> float:
        self.rewind()
        self.net.forward()
        # counted from the start: less is lost to rounding
        tops = (
            (d, self.net.executor.look_at(version) - self.start[version])
            for version, d in self.weights.items()
        )
        return float(sum(np.vdot(d, change) for d, change in tops))

    def gradients(self) -> dict[str, Array]:
        """What the backward pass gives, for each input and parameter that gets a gradient."""
        net = self.net
        self.rewind()
        net.clear_param_diffs()
        net.forward()
        for version, d in self.weights.items():
            if version not in net.plan.loss_weights:  # a loss has its weight there already
                net.blobs[version.name].diff[...] = d
        net.backward()
        checked = [*_inputs_with_gradient(net), *self.learned]
        return {name: self.blobs[name].diff.copy() for name in checked}


def _top_gradients(net: Net, rng: np.random.Generator) -> dict[Version, Array]:
    """The gradient at each version of a blob that f adds up: a loss's weight; at other outputs
    that a gradient comes from, random."""
    plan = net.plan
    found = {v: np.full(plan.shapes[v], weight) for v, weight in plan.loss_weights.items()}
    for name in net.outputs:
        version = plan.graph.blobs[name]
        if version not in found and plan.needs[version.maker.index].backward:
            # the second top of a loss passes nothing back
            is_loss = version.maker.cls.loss
            found[version] = rng.standard_normal(plan.shapes[version]) * (not is_loss)
    return found


def _inputs_with_gradient(net: Net) -> list[str]:
    plan = net.plan
    return [
        name
        for name in net.inputs
        if any(
            plan.needs[reader.index].bottoms[i]
            for node in plan.graph.nodes
            if node.cls.source
            for version in node.tops
            if version.name == name
            for reader, i in version.readers
        )
    ]
