"""Batch normalisation."""

from __future__ import annotations

from caffelite.judge.doubt import Doubt
from caffelite.judge.reading import at_type, called, has_weights, learned, trains
from caffelite.judge.rules import Found, Start, of_job, of_plan
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node
from caffelite.schema.bind import span_of
from caffelite.schema.common import Phase
from caffelite.solver.job import Job


@of_plan("no-scale", "a BatchNorm that no Scale follows")
def no_scale(plan: Plan) -> Found:
    """Caffe's BatchNorm has no learned scale and shift."""
    if not trains(plan):
        return
    for node in plan.graph.nodes:
        plain = node.cls.standardizes and not node.cls.rescales
        readers = [r for top in node.tops for r, _ in top.readers] if plain else []
        if readers and not any(_makes_up(plan, reader) for reader in readers):
            yield Doubt(
                f"no Scale follows {called(node)}",
                at_type(node),
                "BatchNorm learns no scale and no shift here: every channel stays at mean 0 and "
                "variance 1",
                'add layer { type: "Scale" scale_param { bias_term: true } } behind it',
            )


def _makes_up(plan: Plan, reader: Node) -> bool:
    """Does a reader scale by itself, or take the values for a sum that others shape too?"""
    return reader.cls.rescales or has_weights(plan, reader) or len(reader.bottoms) > 1


@of_plan("batch-statistics-in-test", "a BatchNorm that normalises by the batch when testing")
def batch_statistics_in_test(plan: Plan) -> Found:
    """`use_global_stats: false` holds in both phases."""
    for node in plan.graph.nodes if plan.context.phase == Phase.TEST and plan.count else ():
        if not node.cls.standardizes or not _fixes(node, False):
            continue
        yield Doubt(
            f"{called(node)} uses the statistics of each batch in phase TEST",
            span_of(node.spec, "batch_norm_param", "use_global_stats"),
            "a sample's result depends on what else is in its batch, and batches of 1 give nothing",
            "leave use_global_stats out: it is then false in TRAIN and true in TEST",
        )


@of_job("no-statistics", "a BatchNorm that is trained with statistics nobody made")
def no_statistics(job: Job, start: Start) -> Found:
    """`use_global_stats: true` in a run that starts from nothing."""
    plan = job.train.plan
    if start == Start.WEIGHTS or not trains(plan):
        return
    frozen = any(not u.param.lr_mult and not u.param.declared.fixed for us in plan.uses for u in us)
    if frozen and start == Start.UNKNOWN:  # the mark of a net that starts from weights
        return
    here = start == Start.FILLERS
    nothing = (
        "the run starts from none" if here else "the solver names no weights to take them from"
    )
    for node in plan.graph.nodes:
        if node.cls.standardizes and _fixes(node, True):
            yield Doubt(
                f"{called(node)} uses stored statistics in phase TRAIN, and {nothing}",
                span_of(node.spec, "batch_norm_param", "use_global_stats"),
                "they are never updated: what was never stored counts as mean 0 and variance 0",
                "leave use_global_stats out, or start from weights that hold them (--weights)",
            )


def _fixes(node: Node, value: bool) -> bool:
    """Does the text set use_global_stats to this value?"""
    param = node.spec.get("batch_norm_param")
    return bool(param.has("use_global_stats") and param.use_global_stats == value)


@of_plan("frozen-net", "a net whose parameters are all frozen")
def frozen_net(plan: Plan) -> Found:
    """lr_mult: 0 everywhere."""
    if not trains(plan) or any(True for _ in learned(plan)):
        return
    node = next(n for n in plan.graph.nodes if plan.uses[n.index])
    yield Doubt(
        "every parameter of the net is frozen: lr_mult is 0 everywhere",
        span_of(node.spec, "param", "lr_mult"),
        "training changes nothing",
        "give the layers that are to learn an lr_mult above 0, or none",
    )
