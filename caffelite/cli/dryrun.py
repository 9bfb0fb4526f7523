"""`caffelite train --dry-run`: everything is built and one batch is run; nothing is written."""

from __future__ import annotations

import sys
import time
from statistics import median

from caffelite.cli.help import columns
from caffelite.cli.liveline import clock
from caffelite.report import render
from caffelite.report.table import duration, size
from caffelite.solver.base import Solver

STEPS = 3


def dry_run(solver: Solver) -> list[str]:
    """Run one batch through every net, and back through the one that is trained; what that says."""
    net, param = solver.net, solver.param
    began = time.perf_counter()
    loss = _step(solver)
    first = time.perf_counter() - began
    times: list[float] = []
    while len(times) < STEPS and sum(times) < 3 * max(first, 1):
        began = time.perf_counter()
        _step(solver)
        times.append(time.perf_counter() - began)
    step = median(times)
    summary = net.summary()
    memory = summary.total.training + sum(t.summary().total.inference for t in solver.test_nets)
    lines = [*render.text(summary, columns() if sys.stdout.isatty() else None).splitlines(), ""]
    lines.append(f"one batch forward and backward: loss {loss:.4g}")
    for i, test in enumerate(solver.test_nets):
        began = time.perf_counter()
        test.forward()
        each = time.perf_counter() - began
        whole = each * solver.test_iter[i]
        lines.append(f"one batch of test net {i}: {duration(each)}, a test about {duration(whole)}")
    lines.append(f"memory of blobs, parameters and history: {size(memory)}{_resident()}")
    total = step * param.max_iter
    lines.append(
        f"time per step: {duration(step)} (the first {duration(first)}), "
        f"{param.max_iter:,} steps about {clock(total)}, tests apart"
    )
    return [*lines, "nothing was written"]


def _step(solver: Solver) -> float:
    """The gradients of one iteration; parameters stay as they are."""
    solver.net.clear_param_diffs()
    loss = 0.0
    for _ in range(max(1, solver.param.iter_size)):
        loss = solver.net.forward_backward()
    return loss


def _resident() -> str:
    """What the process has taken at most, where the system says it."""
    try:
        import resource
    except ImportError:
        return ""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"; the process takes {size(most * (1 if sys.platform == 'darwin' else 1024))}"
