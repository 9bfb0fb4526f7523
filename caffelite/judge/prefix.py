"""Files of another run under the same names."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator

from caffelite import snapshot
from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import Found, Start, of_job
from caffelite.solver.job import Job

LONGEST = 1 << 16
"""Bytes of a line that can say what a run is; the others are longer or shorter, and say losses."""
HEAD = 1024
"""Bytes at the start of a .caffemodel, which hold its net's name."""


@of_job("prefix-in-use", "a snapshot_prefix under which another net has been trained")
def prefix_in_use(job: Job, start: Start) -> Found:
    """The log, the manifest or the snapshots under the prefix say which net they are of."""
    param = job.param
    if not snapshot.writes(param):
        return
    prefix, _ = snapshot.prefix(param, job.path)
    said = _another(prefix, job)
    if said is not None:
        yield Doubt(
            said,
            param.span("snapshot_prefix"),
            "its log and its snapshots would be overwritten by those of this run",
            "a snapshot_prefix of its own for each net",
        )


def _another(prefix: str, job: Job) -> str | None:
    """What is said of another net's run, if there is one."""
    graph, path = job.train.plan.graph, _net_file(job)
    mine = f'"{graph.name}"' if graph.name else f'that of "{path}"'
    log = f"{prefix}.jsonl"
    name = _logged(log)
    if name is not None and (name or graph.name):
        other = f'the net "{name}"' if name else "a net without a name"
        return (
            None if name == graph.name else f'"{log}" is the log of {other}, and this one is {mine}'
        )
    if name is not None and path:  # neither has a name
        files = [*_files(f"{prefix}.run.json")]  # the solver, then the net to train
        theirs = next(iter(files[1:2] or files), path)
        if os.path.basename(theirs) != os.path.basename(path):
            return f'"{prefix}.run.json" is of a run of "{theirs}", and this net is {mine}'
        return None
    model = _newest(f"{glob.escape(prefix)}_iter_*.caffemodel")
    name = _stored(model) if model else None
    if name and graph.name and name != graph.name:
        return f'"{model}" holds parameters of the net "{name}", and this one is {mine}'
    return None


def _net_file(job: Job) -> str:
    """The file that the net to train stands in; "" where there is none."""
    span = job.train.param.span()
    return span.source.name if span is not None and os.path.isfile(span.source.name) else ""


def _logged(path: str) -> str | None:
    """The net that a log is of: that of its last start, for the lines of a run that was resumed
    follow on those of the first one. None: it is no log."""
    found = None
    for line in _lines(path):
        if b'"start"' not in line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        name = record.get("net") if isinstance(record, dict) else None
        if isinstance(name, str) and record.get("event") == "start":
            found = name
    return found


def _lines(path: str) -> Iterator[bytes]:
    if not os.path.isfile(path):
        return
    try:
        with open(path, "rb") as file:
            yield from iter(lambda: file.readline(LONGEST), b"")
    except OSError:
        return


def _files(path: str) -> Iterator[str]:
    """The files that a manifest names."""
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return
    for item in record.get("files", ()) if isinstance(record, dict) else ():
        if isinstance(item, dict) and isinstance(item.get("path"), str):
            yield item["path"]


def _newest(pattern: str) -> str | None:
    """The file that was written last."""
    try:
        return max(glob.glob(pattern), key=os.path.getmtime, default=None)
    except OSError:
        return None


def _stored(path: str) -> str | None:
    """The net's name in a .caffemodel: its field 1, which stands first."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    if head[:1] != b"\x0a" or len(head) < 2 or head[1] >= 0x80 or len(head) < 2 + head[1]:
        return None
    try:
        return head[2 : 2 + head[1]].decode()
    except UnicodeDecodeError:
        return None
