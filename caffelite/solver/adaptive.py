"""A rate of its own for each parameter, from the sizes of its values and of its gradient.

With w a parameter, g its gradient (clipped and divided by iter_size, before the penalty), η the
policy's rate and μ the momentum:

    larc (NVCaffe)            r = larc_eta · (1 − μ) · |w| / |g|; 1 where |w| or |g| is 0
        larc_policy "scale"   rate = η · r
        larc_policy "clip"    rate = min(η, r)
    local_lr_auto (Intel)     rate = η · local_gw_ratio · |w| / (|g| + λ·|w|), with the solver's λ;
                              η where |w| or |g| is 0

`lr_mult` does not count then, but 0 freezes as ever.
Source: You, Gitman, Ginsburg 2017, arXiv:1708.03888; the solvers of NVCaffe and of Intel's Caffe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from caffelite.errors import Problem, SolverError
from caffelite.schema.solver import SolverParameter


def check_adaptive(param: SolverParameter) -> None:
    """Refuse what cannot be meant."""
    problems = []
    if param.larc and param.local_lr_auto:
        message = "larc and local_lr_auto are both set"
        problems.append(Problem(message, param.span("local_lr_auto"), "one of the two"))
    if param.larc_policy not in ("scale", "clip"):
        message = f'unknown larc_policy "{param.larc_policy}"'
        problems.append(Problem(message, param.span("larc_policy"), '"scale" or "clip"'))
    if problems:
        raise SolverError(*problems)


def is_adaptive(param: SolverParameter) -> bool:
    """Does each parameter have a rate of its own?"""
    return bool(param.larc or param.local_lr_auto)


def own_rate(
    param: SolverParameter, rate: float, weights: Any, gradient: Any, factor: float = 1
) -> float:
    """The rate of a parameter with these values and `factor` times this gradient."""
    w, g = _norm(weights), factor * _norm(gradient)
    moves = w > 0 and g > 0
    if param.larc:
        local = param.larc_eta * (1 - param.momentum) * w / g if moves else 1.0
        return float(rate * local if param.larc_policy == "scale" else min(rate, local))
    decay = param.weight_decay
    return float(rate * (param.local_gw_ratio * w / (g + decay * w) if moves else 1.0))


def _norm(vector: Any) -> float:
    return math.sqrt(float(vector @ vector))


def fill_rates(
    param: SolverParameter,
    rate: float,
    parts: Sequence[tuple[slice, float]],
    weights: Any,
    gradient: Any,
    factor: float,
    rates: Any,
) -> None:
    """Write each parameter's rate into its part of the vector `rates`. A part is (its place,
    lr_mult); the gradient counts `factor` times."""
    for place, lr_mult in parts:
        own = own_rate(param, rate, weights[place], gradient[place], factor) if lr_mult else 0.0
        rates[place] = own
