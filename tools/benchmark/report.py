"""Results as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

WIDTH = 80
PASSES = {"train": "training step", "forward": "inference"}


def duration(microseconds: float) -> str:
    for limit, factor, unit in ((1e3, 1, "us"), (1e6, 1e3, "ms"), (float("inf"), 1e6, "s")):
        if microseconds < limit:
            return f"{microseconds / factor:.3g} {unit}"
    return "nan"


def megabytes(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f} MB"


def columns(rows: Sequence[tuple[str, ...]], indent: str = "  ", gap: str = "  ") -> list[str]:
    """The rows as lines: the first cell to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append((indent + gap.join([row[0].ljust(widths[0]), *cells])).rstrip())
    return lines


def wrapped(note: str) -> list[str]:
    return textwrap.wrap(
        note, WIDTH - 2, initial_indent="  ", subsequent_indent="    ", break_long_words=False
    )


def figure_name(result: dict[str, Any]) -> str:
    if result["figure"] == "cpu":
        name = "CPU time of the process, 1 thread"
    else:
        many = result["threads"] > 1
        name = f"wall time, {result['threads']} thread{'s' if many else ''}"
    return name + (", one core kept busy" if result["beside"] else "")


def title(result: dict[str, Any]) -> str:
    what = PASSES[result["pass"]]
    return f"{result['net']}, batch {result['batch']}: {what}, {figure_name(result)}"


def table(result: dict[str, Any]) -> str:
    """One net, pass and figure."""
    inputs = ", ".join(f"{n} {'x'.join(map(str, s))}" for n, s in result["inputs"].items())
    lines = [*textwrap.wrap(title(result), WIDTH, subsequent_indent="  ")]
    lines += wrapped(f"{inputs}; {result['parameters']:,} parameters")
    rows = [("", "median", "minimum", "peak", "imports", "differs by")]
    for c in result["contenders"]:
        times = duration(c["median_us"]), duration(c["min_us"])
        memory = megabytes(c["peak_mb"]), megabytes(c["import_mb"])
        rows.append((f"{c['name']} {c['version']}", *times, *memory, f"{c['difference']:.1e}"))
    lines += columns(rows)
    lines += ratios(result)
    for note in result["notes"]:
        lines += wrapped(note)
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[str]:
    """A row for each of ours, with its time over that of each other one."""
    by_pair = {(r["of"], r["to"]): r for r in result["ratios"]}
    names = [c["name"] for c in result["contenders"]]
    ours = [c["name"] for c in result["contenders"] if c["ours"]]
    rivals = [name for name in names if name not in ours]
    single = [name for name in ours if name.endswith(", 1 thread")]
    plain = [name for name in ours if name not in single]
    lines: list[str] = []
    for others in [rivals[i : i + 3] for i in range(0, len(rivals), 3)]:
        rows = [("time over that of", *others)]
        rows += [(name, *(shown(by_pair[name, other]) for other in others)) for name in ours]
        lines += ["", *columns(rows)]
    own = [(a, b) for b in single for a in plain if b.startswith(f"{a},")]
    rows = [("time over its own on one thread", "")]
    rows += [(name, shown(by_pair[name, other])) for name, other in own]
    return lines + (["", *columns(rows)] if own else [])


def shown(ratio: dict[str, Any]) -> str:
    low, high = ratio["quartiles"]
    return f"{ratio['median']:.2f} ({low:.2f}-{high:.2f})"
