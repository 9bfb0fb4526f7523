"""Rates, decay and the length of a run."""

from __future__ import annotations

import math

from caffelite.errors import Span
from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import Found, Start, of_job, of_plan
from caffelite.plan.build import Plan
from caffelite.solver.job import Job

TINY, HUGE = 1e-9, 100.0
"""Times base_lr: below the one nothing is learned, above the other nothing is kept."""


@of_job("learning-rate", "a learning rate of 0 or below")
def learning_rate(job: Job, start: Start) -> Found:
    """base_lr, which is 0 where it is left out."""
    param, rate = job.param, job.param.base_lr
    if rate <= 0 and not param.warmup_iter and param.lr_policy != "multifixed":
        named = param.given("base_lr")
        yield Doubt(
            f"base_lr is {rate:g}" if named else "the solver has no base_lr, which is then 0",
            param.span("base_lr") or param.span(),
            "every update climbs: the loss grows" if rate < 0 else "training changes nothing",
            "a rate above 0, base_lr: 0.01",
        )


@of_job("rate-vanishes", "a learning rate that its policy drives to 0 long before the end")
def rate_vanishes(job: Job, start: Start) -> Found:
    """Half of the run for nothing."""
    param, length = job.param, job.param.max_iter
    if param.base_lr <= 0 or length < 4:
        return
    at = None
    for i in reversed(_moments(length // 2)):
        if abs(job.rate(i)) >= TINY * param.base_lr:
            break
        at = i
    if at is not None:
        yield Doubt(
            f"the learning rate is {job.rate(at):.3g} at iteration {at:,} of {length:,}",
            _policy_span(job),
            f"from there on nothing is learned: base_lr is {param.base_lr:g}",
            "a gamma nearer to 1, longer steps, or a smaller max_iter",
        )


@of_job("rate-explodes", "a learning rate that its policy drives beyond sense")
def rate_explodes(job: Job, start: Start) -> Found:
    """gamma above 1, a negative power, a min_lr above base_lr."""
    param, length = job.param, job.param.max_iter
    if param.base_lr <= 0 or not length:
        return
    at = next((i for i in _moments(length - 1) if not _sensible(job, i)), None)
    if at is not None:
        yield Doubt(
            f"the learning rate is {job.rate(at):.3g} at iteration {at:,}",
            _policy_span(job),
            f"base_lr is {param.base_lr:g}: a rate {HUGE:g} times as high breaks what was learned",
            "a gamma below 1 makes the rate smaller (inv: a power above 0)",
        )


@of_job("step-order", "steps of the learning rate that do not come one after the other")
def step_order(job: Job, start: Start) -> Found:
    """The policies go from one to the next, and take a step that is past at once."""
    for name in ("stepvalue", "stageiter"):
        steps = job.param.get(name)
        for i in range(1, len(steps)):
            if steps[i] <= steps[i - 1]:
                yield Doubt(
                    f"{name} {steps[i]:,} stands behind {steps[i - 1]:,}",
                    job.param.span(name, i),
                    "steps are taken in the order of the file: one that is past comes at once",
                    "iterations that grow from one to the next",
                )
                break


def _sensible(job: Job, iteration: int) -> bool:
    try:
        rate = job.rate(iteration)
    except (OverflowError, ZeroDivisionError):
        return False
    return (
        not isinstance(rate, complex)
        and math.isfinite(rate)
        and (0 <= rate <= HUGE * job.param.base_lr)
    )


def _moments(last: int) -> list[int]:
    """Iterations to look at, closer together at first."""
    return sorted({round(last * (k / 40) ** 2) for k in range(41)})


def _policy_span(job: Job) -> Span | None:
    param = job.param
    name = "gamma" if param.has("gamma") else "lr_policy"
    return param.span(name)


@of_job("weight-decay", "a weight decay that drives parameters away from 0, or past it")
def weight_decay(job: Job, start: Start) -> Found:
    """An update takes away rate times decay of a parameter."""
    param = job.param
    if param.weight_decay < 0:
        yield Doubt(
            f"weight_decay is {param.weight_decay:g}",
            param.span("weight_decay"),
            "below 0 it makes parameters grow in every iteration, without end",
            "0 or above, weight_decay: 0.0005",
        )
    elif param.regularization_type == "L2" and param.weight_decay * param.base_lr >= 1:
        yield Doubt(
            f"weight_decay {param.weight_decay:g} times base_lr {param.base_lr:g} is "
            f"{param.weight_decay * param.base_lr:g}",
            param.span("weight_decay"),
            "so large a part of every parameter is taken away in each iteration: nothing stays",
            "a product far below 1, as of weight_decay: 0.0005",
        )


@of_plan("negative-multiplier", "a negative lr_mult or decay_mult")
def negative_multiplier(plan: Plan) -> Found:
    """param { lr_mult: -1 }."""
    for node in plan.graph.nodes:
        for spec in node.spec.param:
            for name, effect in (
                ("lr_mult", "the parameter climbs: the loss grows with it"),
                ("decay_mult", "the parameter grows in every iteration, without end"),
            ):
                if spec.get(name) < 0:
                    yield Doubt(
                        f'{name} of layer "{node.spec.name}" is {spec.get(name):g}',
                        spec.span(name),
                        effect,
                        "0 or above; a negative loss_weight turns an objective around",
                    )
