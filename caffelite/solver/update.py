"""Update: from the gradients of an iteration to the next parameters, all but the rule itself."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from caffelite.blob import Array
from caffelite.net import Net
from caffelite.plan.params import Param
from caffelite.run.session import Bound
from caffelite.schema.solver import SolverParameter
from caffelite.solver.adaptive import fill_rates, is_adaptive
from caffelite.solver.blocks import BLOCK, Stretch, blocks, stretches
from caffelite.solver.rules import Rule, Scalar, Vector, baked_in, make_rule

REMEMBERED = 8
"""Of how many iterations the norm of the gradient is kept."""


def make_update(rule: type[Rule], net: Net, param: SolverParameter) -> Update:
    """The update of a net's parameters by this rule, on the vectors of the net's engine."""
    vectors = net.executor.session.vectors()
    rule_on_them = make_rule(rule, vectors, param)
    most = vectors.block or BLOCK
    update = Update(param, rule_on_them, vectors.parameters, most, vectors.to_host)
    if vectors.repeat is not None and not is_adaptive(param):
        update.stay_on_device(vectors.repeat)
    return update


class Parameters(Protocol):
    """What is updated: a net's arena, or an engine's own."""

    @property
    def data(self) -> Vector: ...

    @property
    def diff(self) -> Vector:
        """The gradients: one vector, the same each time. Asked for before each update, so that
        zeros that are still to be written are there."""

    @property
    def params(self) -> Sequence[Param]: ...

    @property
    def slices(self) -> Sequence[slice]: ...


class Block(NamedTuple):
    """A part of the parameters with all that belongs to it; the vectors are views."""

    weights: Vector
    gradient: Vector
    history: tuple[Vector, ...]
    rate: Scalar | Vector
    decay: Scalar | Vector | None
    """λ·decay_mult; None: no penalty."""
    scratch: Vector


class Update:
    """Clips, divides by `iter_size`, adds the penalty, applies the rule; see `Solver`.

    Holds `history`, the rule's vectors, each as long as the arena. `most` is the largest number of
    values that the rule is given at a time."""

    def __init__(
        self,
        param: SolverParameter,
        rule: Rule,
        arena: Parameters,
        most: int = BLOCK,
        to_host: Callable[[Vector], Array] = np.asarray,
    ) -> None:
        self._to_host = to_host
        self.rule = rule
        self._xp, self._number = rule.xp, rule.number
        self._arena = arena
        self.history = [self._xp.zeros_like(arena.data) for _ in range(rule.histories)]
        self._limit = param.clip_gradients if param.clip_gradients >= 0 else None
        self._clip = self._number(1.0)
        self._mean = self._number(1 / param.iter_size) if param.iter_size != 1 else None
        self._l1 = param.regularization_type == "L1"
        self._weight_decay = param.weight_decay
        self._rate = self._number(0.0)
        self._rates: list[tuple[Scalar | Vector, Scalar | Vector]] = []
        """What the rate is multiplied by, and where the product goes."""
        self._numbers: dict[tuple[str, float], Scalar] = {}
        """Products and penalties that many blocks have in common."""
        cut = list(blocks(stretches(arena.params, arena.slices), most))
        longest = max((part[-1].stop - part[0].start for part in cut), default=0)
        self._scratch = self._xp.empty_like(arena.data[:longest])
        self._param = param
        self.squares: deque[Scalar] = deque(maxlen=REMEMBERED)
        """|gradient|² of the last iterations, as `apply` found them."""
        self._own_rates = self._xp.zeros_like(arena.data) if is_adaptive(param) else None
        self._parts = [(place, owner.lr_mult) for owner, place in zip(arena.params, arena.slices)]
        self._blocks = [self._block(part, arena) for part in cut]
        self._on_device: Bound | None = None

    def stay_on_device(self, repeat: Callable[[Bound, str | None], Bound]) -> None:
        """Let an update wait for nothing: all that it computes stays where the vectors are. What
        differs from one to the next is in Scalars, so that the rest can be replayed."""
        self._square = self._number(0.0)
        self._most = self._number(self._limit or 0.0)
        self._on_device = repeat(self._run_on_device, baked_in(type(self.rule)))

    def _run_on_device(self) -> None:
        gradient, xp = self._gradient, self._xp
        xp.dot(gradient, gradient, out=self._square)
        factors = [] if self._mean is None else [self._mean]
        if self._limit is not None:
            # limit / max(norm, limit): 1 where the norm is below it
            xp.sqrt(self._square, out=self._clip)
            xp.maximum(self._clip, self._most, out=self._clip)
            xp.divide(self._most, self._clip, out=self._clip)
            factors.insert(0, self._clip)
        self._run(self._blocks, factors)

    def host_history(self) -> list[Array]:
        """The rule's vectors as host arrays."""
        return [self._to_host(vector) for vector in self.history]

    def take_history(self, vectors: Sequence[Array]) -> None:
        """Go on with these vectors."""
        for mine, values in zip(self.history, vectors):
            mine[...] = self._xp.asarray(values)

    def _block(self, part: Sequence[Stretch], arena: Parameters) -> Block:
        start, stop = part[0].start, part[-1].stop
        weights = arena.data[start:stop]
        return Block(
            weights,
            arena.diff[start:stop],
            tuple(vector[start:stop] for vector in self.history),
            self._rate_of(part, weights)
            if self._own_rates is None
            else self._own_rates[start:stop],
            self._decay_of(part, weights),
            self._scratch[: stop - start],
        )

    def _rate_of(self, part: Sequence[Stretch], like: Vector) -> Scalar | Vector:
        """Where the learning rate of this block will be."""
        mults = {stretch.lr for stretch in part}
        if mults == {1.0}:
            return self._rate
        if len(mults) == 1:
            key = "rate", mults.pop()
            if key not in self._numbers:
                self._numbers[key] = self._product(self._number(key[1]), self._number(0.0))
            return self._numbers[key]
        values = self._spread(part, [stretch.lr for stretch in part], like)
        return self._product(values, self._xp.zeros_like(like))

    def _product(self, mults: Scalar | Vector, rates: Scalar | Vector) -> Scalar | Vector:
        self._rates.append((mults, rates))
        return rates

    def _decay_of(self, part: Sequence[Stretch], like: Vector) -> Scalar | Vector | None:
        """λ·decay_mult of this block."""
        decays = [self._weight_decay * stretch.decay for stretch in part]
        if not any(decays):
            return None
        if len(set(decays)) == 1:
            return self._numbers.setdefault(("decay", decays[0]), self._number(decays[0]))
        return self._spread(part, decays, like)

    def _spread(self, part: Sequence[Stretch], values: list[float], like: Vector) -> Vector:
        vector = self._xp.zeros_like(like)
        for stretch, value in zip(part, values):
            vector[stretch.start - part[0].start : stretch.stop - part[0].start] = value
        return vector

    def norms(self) -> list[float]:
        """The norms of the gradient of the last iterations, divided by `iter_size`."""
        each = self._param.iter_size
        return [math.sqrt(float(square)) / each for square in self.squares]

    def apply(self, rate: float, iteration: int) -> bool:
        """The update of this iteration, with this learning rate. False, and nothing is changed, if
        the gradient is known not to be finite; on a device that is not waited for. To know it takes
        one pass over the gradient, of the six or more of an update."""
        gradient = self._gradient = self._arena.diff
        if self._on_device is not None:
            self._begin(rate, iteration)
            self._on_device()
            self.squares.append(self._square + 0)  # a copy: the next update writes there
            return True
        square = self._xp.dot(gradient, gradient)
        known = isinstance(square, np.floating)
        # a square that is not finite may only be too large itself
        if known and not math.isfinite(square) and not np.isfinite(gradient).all():
            return False
        self.squares.append(square)
        factors = self._factors(square)
        if self._own_rates is not None:
            factor = math.prod(float(f) for f in factors)
            data = self._arena.data
            fill_rates(self._param, rate, self._parts, data, gradient, factor, self._own_rates)
        self._begin(rate, iteration)
        self._run(self._blocks, factors)
        return True

    def _begin(self, rate: float, iteration: int) -> None:
        """The numbers of this iteration."""
        self._rate[()] = rate
        for mults, rates in self._rates:
            self._xp.multiply(mults, self._rate, out=rates)
        self.rule.begin(iteration)

    def _factors(self, square: Scalar) -> list[Scalar]:
        """What the whole gradient, of |gradient|² `square`, is multiplied by, one after the
        other."""
        factors = []
        if self._limit is not None:
            norm = math.sqrt(float(square))
            if norm > self._limit:
                self._clip[()] = self._limit / norm
                factors.append(self._clip)
        if self._mean is not None:
            factors.append(self._mean)
        return factors

    def _run(self, part: Sequence[Block], factors: Sequence[Scalar]) -> None:
        xp, update, decoupled = self._xp, self.rule.update, self.rule.decoupled_decay
        for weights, gradient, history, rate, decay, scratch in part:
            for factor in factors:
                xp.multiply(gradient, factor, out=gradient)
            if decay is not None:
                # the penalty's gradient: λ·decay_mult·W or λ·decay_mult·sign(W)
                signs = xp.sign(weights, out=scratch) if self._l1 else weights
                xp.multiply(signs, decay, out=scratch)
                if decoupled:
                    xp.multiply(scratch, rate, out=scratch)
                    xp.subtract(weights, scratch, out=weights)
                else:
                    xp.add(gradient, scratch, out=gradient)
            update(weights, gradient, history, rate, scratch)
