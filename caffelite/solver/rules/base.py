"""Rule: what one update does to vectors, and the register of rules by the name in solver files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from caffelite.errors import Problem, SolverError, did_you_mean
from caffelite.schema.solver import SolverParameter

Vector = Any
"""A stretch of the parameters, or of what belongs to them, one value each: a NumPy array, or
whatever another engine computes with."""
Scalar = Any
"""An array of no axes, whose value `x[()] = value` changes. (NumPy is twice as fast with one as
with a Python number.)"""


class Rule:
    """An update rule: vectors in, vectors out, element by element. It knows no net and no loop.

    `begin` is called once an iteration, `update` then once for each stretch of the parameters, in
    any order and perhaps from several threads: what `update` needs from the iteration's number,
    `begin` computes. All array functions come from `xp`, and results are written with `out=`:
    `xp` is NumPy, or a module with the same functions for the vectors of another engine (PyTorch
    has those that the rules here use).
    """

    name: ClassVar[str] = ""
    histories: ClassVar[int] = 0
    """How many vectors the rule keeps from one iteration to the next; they start at zero."""
    fields: ClassVar[tuple[str, ...] | None] = None
    """Which of momentum, momentum2, rms_decay and delta the rule reads; None: not known."""
    usual_momentum: ClassVar[float | None] = None
    """The paper's momentum, for a rule that is another one without."""
    decoupled_decay: ClassVar[bool] = False
    """Does the penalty change the weights directly, by rate · λ · decay_mult · W, instead of being
    part of the gradient?"""

    replayable: ClassVar[bool] = False
    """For a rule with a `begin` of its own: does it change nothing but what is in Scalars, by
    `x[()] = value`? Then `update` may be recorded on a device and replayed. A class that inherits
    such a `begin` and has another one says it again."""

    def __init__(
        self,
        param: SolverParameter,
        number: Callable[[float], Scalar] = np.asarray,
        xp: Any = np,
    ) -> None:
        self.param = param
        self.number = number
        """Makes a Scalar of the parameters' type."""
        self.xp = xp
        self.prepare()

    def prepare(self) -> None:
        """Make the constants that the rule needs, with `number`."""

    def begin(self, iteration: int) -> None:
        """An update begins, the one of this iteration: 0, 1, ..."""

    def update(
        self,
        weights: Vector,
        gradient: Vector,
        history: Sequence[Vector],
        rate: Scalar | Vector,
        scratch: Vector,
    ) -> None:
        """Change `weights` and `history` in place. All vectors have one length. `rate` is the
        learning rate times lr_mult: a Scalar, or one value for each of the weights. `scratch` is
        free to use, and `gradient` may be overwritten."""
        raise TypeError(f"the update rule {self.name} does not define update()")


R = TypeVar("R", bound="type[Rule]")
RULES: dict[str, type[Rule]] = {}
"""All known update rules by the name that solver files use."""


def register_rule(name: str) -> Callable[[R], R]:
    """Make an update rule known to solver files under `name`. Used as a decorator; another rule
    of a name that exists is refused with ValueError."""

    def add(cls: R) -> R:
        known = RULES.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise ValueError(f'an update rule "{name}" exists already ({known.__module__})')
        cls.name = name
        RULES[name] = cls
        return cls

    return add


def baked_in(rule: type[Rule]) -> str | None:
    """Why `update` cannot be recorded and replayed for other iterations, if so."""
    maker = next(cls for cls in rule.__mro__ if "begin" in vars(cls))
    if maker is Rule or vars(maker).get("replayable"):
        return None
    return f"what the rule {rule.name} computes in `begin` may not be in Scalars (`replayable`)"


def find_rule(param: SolverParameter) -> type[Rule]:
    """The rule that the solver's `type` names; an unknown one is refused with a suggestion."""
    if param.type in RULES:
        return RULES[param.type]
    raise SolverError(
        Problem(
            f'unknown solver type "{param.type}"',
            param.span("type"),
            "one of " + ", ".join(RULES),
            did_you_mean(param.type, RULES),
        )
    )
