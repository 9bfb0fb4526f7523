"""Whether the machine can hold a run."""

from __future__ import annotations

import os

from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import Found, Start, of_job
from caffelite.report.summary import summarise
from caffelite.solver.job import Job


@of_job("memory", "a net that needs more memory than the machine has")
def memory(job: Job, start: Start) -> Found:
    """Values and gradients of one batch, parameters, and what the update rule keeps."""
    if job.train.plan.absent:
        return
    total = summarise(job.train.plan).total
    needed, there = total.training, installed()
    if there and needed > there:
        yield Doubt(
            f"training takes about {_gigabytes(needed)}, and this machine has {_gigabytes(there)}",
            job.param.span("net") or job.param.span("train_net"),
            "the run would end for lack of memory, or crawl",
            "a smaller batch_size in the data layer, with iter_size to make up for it",
        )


def installed() -> int:
    """The machine's memory in bytes; 0 where that cannot be found out."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
