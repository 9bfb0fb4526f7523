"""What inference takes in memory, beside what it should.

What it may take: the parameters, and 1.5 times the two largest neighbouring blobs, those that one
layer reads and writes. All others can share that memory. The interpreter is left out on both
sides: what it has imported, its threads, what BLAS keeps for each since its first product, and the
pages of libraries that the system has read in. The net's own plan counts, and all scratch memory.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from .contenders import KINDS, net_files
from .processes import Skipped, ask
from .report import columns

SHARE = 1.5


def measure_all(
    paths: list[str], engines: list[str], threads: int, shape: list[int]
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each net and engine, and why some are missing."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    absent: set[str] = set()
    for path in paths or list(net_files().values()):
        with tempfile.TemporaryDirectory() as folder:
            name = os.path.splitext(os.path.basename(path))[0]
            with open(os.path.join(folder, "job.json"), "w") as file:
                json.dump({"net": path, "batch": 0, "shape": shape}, file)
            try:
                facts = ask("run_memory", folder, "describe")[-1]
            except Skipped as why:
                notes.append(f"{os.path.relpath(path)}: {why}")
                continue
            for engine in (e for e in dict.fromkeys(engines) if e not in absent):
                try:
                    found = ask("run_memory", folder, engine, threads=threads)[-1]
                except Skipped as why:
                    notes.append(f"{KINDS[engine].title} is left out: {why}")
                    absent.add(engine)
                    continue
                rows.append({"net": name, "engine": engine, **judge(facts, found)})
    return rows, notes


def judge(facts: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What was measured beside what may be, in MB."""
    allowed = facts["parameters_mb"] + SHARE * facts["pair_mb"]
    used = max(found["build_mb"], found["forward_mb"])
    return {**facts, **found, "allowed_mb": allowed, "used_mb": used, "within": used <= allowed}


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    lines = [
        "Memory of inference (phase TEST, the file's own batch), MB above the interpreter:",
        "its peak while the net is built and in the first forward pass, beside",
        f"parameters + {SHARE} x the two largest neighbouring blobs.",
    ]
    cells: list[tuple[str, ...]] = [
        ("", "batch", "built", "forward", "params", "blobs", "allowed", "within")
    ]
    several = len({row["engine"] for row in rows}) > 1
    for row in rows:
        values = ("build_mb", "forward_mb", "parameters_mb", "pair_mb", "allowed_mb")
        shown = [f"{row[value]:,.1f}" for value in values]
        name = f"{row['net']} {row['engine']}" if several else row["net"]
        cells.append((name, str(row["batch"]), *shown, "yes" if row["within"] else "NO"))
    within = sum(row["within"] for row in rows)
    base = max(row["import_mb"] for row in rows)
    return "\n".join(
        [*lines, *columns(cells), f"  {within} of {len(rows)} within; imports take {base:.0f} MB"]
    )
