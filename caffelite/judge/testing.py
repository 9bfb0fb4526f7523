"""Whether, when and on how much a run is tested."""

from __future__ import annotations

from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import Found, Start, of_job
from caffelite.plan.graph import included
from caffelite.schema.common import Phase
from caffelite.schema.net import NetState
from caffelite.solver.job import Job

DELIBERATE = 1_000_000
"""A test_interval that is meant to be never."""


@of_job("never-tested", "a net with layers for testing, and a solver that does not test")
def never_tested(job: Job, start: Start) -> Found:
    """Nobody sees whether it learns more than its training data."""
    param = job.param
    if job.tests:
        if 0 < param.max_iter < param.test_interval < DELIBERATE and any(job.test_iter):
            yield Doubt(
                f"test_interval is {param.test_interval:,}, and the run ends at "
                f"{param.max_iter:,} iterations",
                param.span("test_interval"),
                "the net is tested before the first iteration, and never again",
                "a test_interval below max_iter",
            )
        return
    state = NetState(phase=Phase.TEST, level=job.train.asked.level)
    for layer in job.train.param.layer:
        ruled = bool(layer.include or layer.exclude)
        if ruled and included(layer, state) and not included(layer, job.train.state):
            yield Doubt(
                f'the net is never tested, though layer "{layer.name}" is there for testing',
                param.span("net"),
                "the training loss alone does not say how good the net is on other data",
                "test_interval: 500 tests every 500 iterations",
            )
            return


@of_job("test-size", "tests of more or less than the test set")
def test_size(job: Job, start: Start) -> Found:
    """test_iter times batch_size."""
    for i, (test, count) in enumerate(zip(job.tests, job.test_iter)):
        data = test.data
        if data is None or test.plan.absent or not job.param.test_iter or not count:
            continue
        seen = count * data.batch
        if abs(seen - data.size) < data.batch:
            continue
        few = seen < data.size
        yield Doubt(
            f"a test of net #{i} is {seen:,} samples, test_iter {count:,} times {data.batch:,}, "
            f"and its data has {data.size:,}",
            job.param.span("test_iter", i),
            "the rest is never looked at" if few else "some are counted more often than others",
            f"test_iter: {data.batches:,}, or leave it out: the whole test set, once",
        )


@of_job("no-loss", "a net that is to be trained, and has no loss")
def no_loss(job: Job, start: Start) -> Found:
    """Nothing to learn from."""
    plan = job.train.plan
    said = any(node.cls.loss or node.spec.loss_weight for node in plan.graph.nodes)
    there = sum(included(layer, job.train.state) for layer in job.train.param.layer)
    whole = len(plan.graph.nodes) == there
    if not plan.loss_weights and not said and whole:
        yield Doubt(
            "the net to train has no loss",
            job.param.span("net") or job.param.span("train_net"),
            "without one there is no gradient, and training changes nothing",
            'a layer such as type: "SoftmaxWithLoss", or loss_weight: 1 where a layer gives one',
        )
