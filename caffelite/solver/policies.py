"""Learning-rate policies: pure functions of the iteration, so that resuming cannot drift. One,
plateau, goes by the losses too, which snapshots hold.

With i the iteration and the solver's fields by name:

    fixed      base_lr
    step       base_lr · gamma ^ ⌊i / stepsize⌋
    exp        base_lr · gamma ^ i
    inv        base_lr · (1 + gamma · i) ^ −power
    multistep  base_lr · gamma ^ (number of stepvalue that are ≤ i)
    poly       base_lr · (1 − i / max_iter) ^ power
    sigmoid    base_lr / (1 + exp(−gamma · (i − stepsize)))
    cosine     min_lr + (base_lr − min_lr) · (1 + cos(π · i / max_iter)) / 2
    multifixed stagelr[k] with k = the number of stageiter that are < i, at most the last
    stepdecr   the same as step
    plateau    base_lr · gamma ^ (times that the loss has stopped to fall); see `plateau.py`

A `power` that is left out is 0, as in Caffe: poly is then constant. With `min_lr` no policy goes
below it, and poly is min_lr + (base_lr − min_lr) · (1 − i / max_iter) ^ power, as in NVCaffe. In
the first `rampup_interval` iterations the rate is rampup_lr + (base_lr − rampup_lr) ·
(i / rampup_interval)², whatever the policy (NVCaffe).

From max_iter on, poly and cosine are min_lr. With warm-up, for the first `warmup_iter` iterations
the rate is on the straight line from warmup_start_lr at i = 0 to the policy's own rate at
i = warmup_iter. From there on it is the policy's at i, as without warm-up: the policy is not
shifted, and its steps stay where they are. cosine (Loshchilov and Hutter 2017, arXiv:1608.03983,
one cycle) and warm-up are beyond Caffe.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable

from caffelite.errors import Problem, SolverError, did_you_mean
from caffelite.schema.solver import SolverParameter
from caffelite.solver.plateau import Plateau

Rate = Callable[[int], float]
Policy = Callable[[SolverParameter], Rate]


def _fixed(p: SolverParameter) -> Rate:
    base = p.base_lr
    return lambda i: base


def _step(p: SolverParameter) -> Rate:
    base, gamma, size = p.base_lr, p.gamma, p.stepsize
    return lambda i: base * _growth(gamma, i // size)


def _exp(p: SolverParameter) -> Rate:
    base, gamma = p.base_lr, p.gamma
    return lambda i: base * _growth(gamma, i)


def _inv(p: SolverParameter) -> Rate:
    base, gamma, power = p.base_lr, p.gamma, p.power
    return lambda i: float(base * (1 + gamma * i) ** -power)


def _multistep(p: SolverParameter) -> Rate:
    base, gamma, steps = p.base_lr, p.gamma, sorted(p.stepvalue)
    return lambda i: base * _growth(gamma, bisect_right(steps, i))


def _poly(p: SolverParameter) -> Rate:
    low, swing, power = p.min_lr, p.base_lr - p.min_lr, p.power
    last = max(p.max_iter, 1)  # of no iterations none has a rate
    return lambda i: float(low + swing * max(0.0, 1 - i / last) ** power)


def _sigmoid(p: SolverParameter) -> Rate:
    base, gamma, middle = p.base_lr, p.gamma, p.stepsize

    def rate(i: int) -> float:
        x = gamma * (i - middle)
        # both forms are 1 / (1 + e^-x); each is used where its e^ cannot overflow
        return base / (1 + math.exp(-x)) if x >= 0 else base * math.exp(x) / (1 + math.exp(x))

    return rate


def _cosine(p: SolverParameter) -> Rate:
    low, swing, last = p.min_lr, (p.base_lr - p.min_lr) / 2, max(p.max_iter, 1)
    return lambda i: low + swing * (1 + math.cos(math.pi * min(i, last) / last))


def _multifixed(p: SolverParameter) -> Rate:
    rates, starts = list(p.stagelr), list(p.stageiter)
    return lambda i: float(rates[min(bisect_left(starts, i), len(rates) - 1)])


def _ramped_up(p: SolverParameter, rate: Rate) -> Rate:
    """`rate` kept at min_lr or above, with NVCaffe's rise to base_lr at first."""
    low, count = p.min_lr, p.rampup_interval
    start, rise = p.rampup_lr, p.base_lr - p.rampup_lr
    if low:
        kept, rate = rate, lambda i: max(low, kept(i))
    return lambda i: start + rise * (i / count) ** 2 if i < count else rate(i)


def _warmed_up(p: SolverParameter, rate: Rate) -> Rate:
    """`rate`, with a straight rise to it at first."""
    start, count = p.warmup_start_lr, p.warmup_iter
    return lambda i: start + (rate(count) - start) * i / count if i < count else rate(i)


def _growth(gamma: float, exponent: int) -> float:
    """gamma ^ exponent; infinite, rather than an error, where it is too large a number."""
    try:
        return float(gamma**exponent)
    except OverflowError:
        return math.inf


POLICIES: dict[str, tuple[Policy, tuple[str, ...]]] = {
    "fixed": (_fixed, ()),
    "step": (_step, ("gamma", "stepsize")),
    "exp": (_exp, ("gamma",)),
    "inv": (_inv, ("gamma", "power")),
    "multistep": (_multistep, ("gamma", "stepvalue")),
    "poly": (_poly, ("max_iter",)),
    "sigmoid": (_sigmoid, ("gamma", "stepsize")),
    "cosine": (_cosine, ("max_iter",)),
    "multifixed": (_multifixed, ("stagelr", "stageiter")),
    "stepdecr": (_step, ("gamma", "stepsize")),
    "plateau": (Plateau, ("gamma", "plateau_winsize")),
}
"""Each policy, and the fields that it needs."""
_NOT_NEGATIVE = [("gamma", name) for name in POLICIES]


def learning_rate(param: SolverParameter, plateau: Plateau | None = None) -> Rate:
    """The learning rate as a function of the iteration; of the policy plateau by what `plateau` has
    observed (None: nothing). Without base_lr it is 0, as in Caffe. Raises SolverError with all
    that is missing or unknown."""
    problems = []
    if param.lr_policy not in POLICIES:
        named = param.has("lr_policy")
        if named or not param.given("lr_policy"):
            problems.append(
                Problem(
                    f'unknown lr_policy "{param.lr_policy}"'
                    if named
                    else "the solver has no lr_policy",
                    param.span("lr_policy"),
                    "one of " + ", ".join(POLICIES),
                    did_you_mean(param.lr_policy, POLICIES)
                    or 'for a constant learning rate lr_policy: "fixed"',
                )
            )
        raise SolverError(*problems)
    policy, needs = POLICIES[param.lr_policy]
    for name in needs:
        if name == "max_iter" and param.given("max_epoch"):
            continue  # it is counted once the training data is there
        if not param.given(name):
            message = f'lr_policy "{param.lr_policy}" needs {name}'
            doc = SolverParameter.specs[name].doc
            problems.append(Problem(message, param.span("lr_policy"), f"{name}, {doc}"))
        elif name == "stepsize" and param.has(name) and param.get(name) <= 0:
            message = f"{name} cannot be {param.get(name)}"
            problems.append(Problem(message, param.span(name), "1 or more"))
        elif (name, param.lr_policy) in _NOT_NEGATIVE and not param.get(name) >= 0:
            message = f"{name} cannot be {param.get(name):g}"
            problems.append(Problem(message, param.span(name), "0 or more"))
    if param.lr_policy == "multifixed" and len(param.stagelr) != len(param.stageiter):
        message = f"{len(param.stagelr)} stagelr for {len(param.stageiter)} stageiter"
        problems.append(Problem(message, param.span("stagelr"), "as many of one as of the other"))
    if not problems and param.lr_policy == "poly" and param.has("power") and not param.power >= 0:
        message = f"power cannot be {param.power:g}"
        problems.append(Problem(message, param.span("power"), "0 or more"))
    if problems:
        raise SolverError(*problems)
    return _warmed_up(param, _ramped_up(param, plateau or policy(param)))
