"""Learning-rate policies: pure functions of the iteration, so that resuming cannot drift.

With i the iteration and the solver's fields by name:

    fixed      base_lr
    step       base_lr · gamma ^ ⌊i / stepsize⌋
    exp        base_lr · gamma ^ i
    inv        base_lr · (1 + gamma · i) ^ −power
    multistep  base_lr · gamma ^ (number of stepvalue that are ≤ i)
    poly       base_lr · (1 − i / max_iter) ^ power
    sigmoid    base_lr / (1 + exp(−gamma · (i − stepsize)))
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

from caffelite.errors import Problem, SolverError, did_you_mean
from caffelite.schema.solver import SolverParameter

Policy = Callable[[SolverParameter], Callable[[int], float]]


def _fixed(p: SolverParameter) -> Callable[[int], float]:
    base = p.base_lr
    return lambda i: base


def _step(p: SolverParameter) -> Callable[[int], float]:
    base, gamma, size = p.base_lr, p.gamma, p.stepsize
    return lambda i: float(base * gamma ** (i // size))


def _exp(p: SolverParameter) -> Callable[[int], float]:
    base, gamma = p.base_lr, p.gamma
    return lambda i: float(base * gamma**i)


def _inv(p: SolverParameter) -> Callable[[int], float]:
    base, gamma, power = p.base_lr, p.gamma, p.power
    return lambda i: float(base * (1 + gamma * i) ** -power)


def _multistep(p: SolverParameter) -> Callable[[int], float]:
    base, gamma, steps = p.base_lr, p.gamma, sorted(p.stepvalue)
    return lambda i: float(base * gamma ** bisect_right(steps, i))


def _poly(p: SolverParameter) -> Callable[[int], float]:
    base, power, last = p.base_lr, p.power, p.max_iter
    return lambda i: float(base * max(0.0, 1 - i / last) ** power)


def _sigmoid(p: SolverParameter) -> Callable[[int], float]:
    base, gamma, middle = p.base_lr, p.gamma, p.stepsize

    def rate(i: int) -> float:
        x = gamma * (i - middle)
        # both forms are 1 / (1 + e^-x); each is used where its e^ cannot overflow
        return base / (1 + math.exp(-x)) if x >= 0 else base * math.exp(x) / (1 + math.exp(x))

    return rate


POLICIES: dict[str, tuple[Policy, tuple[str, ...]]] = {
    "fixed": (_fixed, ()),
    "step": (_step, ("gamma", "stepsize")),
    "exp": (_exp, ("gamma",)),
    "inv": (_inv, ("gamma", "power")),
    "multistep": (_multistep, ("gamma", "stepvalue")),
    "poly": (_poly, ("power", "max_iter")),
    "sigmoid": (_sigmoid, ("gamma", "stepsize")),
}
"""Each policy, and the fields that it needs."""


def learning_rate(param: SolverParameter) -> Callable[[int], float]:
    """The learning rate as a function of the iteration. Raises SolverError with all that is
    missing or unknown."""
    problems = []
    if not param.has("base_lr"):
        problems.append(
            Problem("the solver has no base_lr", param.span(), "the learning rate, base_lr: 0.01")
        )
    if param.lr_policy not in POLICIES:
        problems.append(
            Problem(
                f'unknown lr_policy "{param.lr_policy}"'
                if param.has("lr_policy")
                else "the solver has no lr_policy",
                param.span("lr_policy"),
                "one of " + ", ".join(POLICIES) + '; for a constant rate lr_policy: "fixed"',
                did_you_mean(param.lr_policy, POLICIES),
            )
        )
        raise SolverError(*problems)
    policy, needs = POLICIES[param.lr_policy]
    for name in needs:
        if not param.has(name):
            message = f'lr_policy "{param.lr_policy}" needs {name}'
            problems.append(
                Problem(message, param.span("lr_policy"), SolverParameter.specs[name].doc)
            )
        elif name in ("stepsize", "max_iter") and param.get(name) <= 0:
            problems.append(Problem(f"{name} must be above 0", param.span(name)))
    if problems:
        raise SolverError(*problems)
    return policy(param)
