"""What is printed before a run: the net, its data, the solver, what will be written."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from caffelite.report.render import shape
from caffelite.solver.base import Solver
from caffelite.solver.facts import Data, Pace, data_of, written_files


def opening(solver: Solver) -> str:
    """The run in one line, for logs."""
    net = solver.net
    return (
        f"{solver.type} on {net.name or 'a net'}: {len(net.layers)} layers, "
        f"{net.parameter_count:,} parameters, seed {solver.streams.seed}, {net.engine}"
    )


def banner(solver: Solver, files: Sequence[str], width: int = 80) -> list[str]:
    """The run in some lines, for a terminal. `files` are written beside the snapshots."""
    net, param, pace = solver.net, solver.param, Pace.of(solver)
    rows = [
        ("net", f"{net.name or '(no name)'}: {len(net.layers)} layers, "
         f"{net.parameter_count:,} parameters"),
        *(("data", _data(d)) for d in data_of(net)),
    ]  # fmt: skip
    for count, test in zip(solver.test_iter, solver.test_nets):
        rows += [("test", f"{_data(d)}, {count:,} batches a test") for d in data_of(test)]
    length = f"{param.max_iter:,} iterations"
    if (epochs := pace.epoch(param.max_iter)) is not None:
        length += f" ({epochs:.3g} epochs)"
    rows += [
        ("solver", f"{solver.type}, lr {param.base_lr:g} {param.lr_policy}, {length}"),
        ("seed", str(solver.streams.seed)),
        ("engine", str(net.engine).removeprefix("engine ")),
    ]
    written = [*written_files(param, solver.path), *filter(None, files)]
    rows += [("writes" if i == 0 else "", name) for i, name in enumerate(written)]
    last = ""
    lines = []
    for title, text in rows:
        head = f"{title if title != last else '':<8}"
        parts = textwrap.wrap(text, max(8, width - 8), break_on_hyphens=False)
        lines += [head + parts[0], *(" " * 8 + part for part in parts[1:])]
        last = title
    return lines


def _data(data: Data) -> str:
    tops = ", ".join(f"{name} {shape(extents)}" for name, extents in data.tops)
    size = f", {data.size:,} samples" if data.size else ""
    return f"{data.layer} ({data.type}): {tops}{size}"
