"""Files of another run under the same names."""

from __future__ import annotations

import json
import os

from caffelite import snapshot
from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import Found, Start, of_job
from caffelite.solver.job import Job

LONGEST = 4096
"""Bytes of a log's first line."""


@of_job("prefix-in-use", "a snapshot_prefix under which another net has been trained")
def prefix_in_use(job: Job, start: Start) -> Found:
    """PREFIX.jsonl says which solver and net wrote it."""
    param = job.param
    if not (param.snapshot or param.snapshot_after_train):
        return
    prefix, _ = snapshot.prefix(param, job.path)
    name = _net_of(f"{prefix}.jsonl")
    mine = job.train.plan.graph.name
    if name is not None and name != mine:
        yield Doubt(
            f'"{prefix}.jsonl" is the log of the net "{name}", and this one is "{mine}"',
            param.span("snapshot_prefix"),
            "its log and its snapshots would be overwritten by those of this run",
            "a snapshot_prefix of its own for each net",
        )


def _net_of(path: str) -> str | None:
    """The net whose log this is, if it is one."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            record = json.loads(file.readline(LONGEST))
    except (OSError, ValueError):
        return None
    name = record.get("net") if isinstance(record, dict) else None
    return name if isinstance(name, str) else None
