"""A check of gradients as text."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.report.render import shape
from caffelite.report.table import Column, table
from caffelite.testing.gradients import Result
from caffelite.testing.layerwise import Found

COLUMNS = [
    Column("layer", cut=True),
    Column("type", cut=True, gives_way=3),
    Column("gradient of", cut=True),
    Column("shape", gives_way=2),
    Column("error", right=True),
    Column("kinks", right=True, gives_way=1),
    Column(""),
]


def text(found: Sequence[Found], whole: Sequence[Result] = (), width: int | None = None) -> str:
    """A table of all gradients, then the worst entries of those that are wrong."""
    rows = [
        [
            f.layer,
            f.type,
            f.blob,
            shape(f.shape),
            f"{f.result.worst.error:.1e}",
            str(f.result.kinks or ""),
            "right" if f.result.ok else "WRONG",
        ]
        for f in found
    ]
    lines = table(COLUMNS, rows, width=width)
    for f in found:
        if not f.result.ok:
            lines += ["", f"{f.layer} ({f.type}), gradient of {f.blob}:", *_worst(f)]
    if whole:
        lines += ["", "the whole net, end to end:", *(f"  {result}" for result in whole)]
    wrong = sum(not r.ok for r in (*(f.result for f in found), *whole))
    count = len(found) + len(whole)
    lines += [
        "",
        f"{wrong} of {count} gradients are WRONG" if wrong else f"{count} gradients: right",
    ]
    return "\n".join(lines)


def _worst(found: Found) -> list[str]:
    if not found.worst:
        s = found.result.worst
        return [f"  in a random direction {s.analytic:.6g}, but measured {s.numeric:.6g}"]
    return [
        f"  [{', '.join(map(str, e.index))}]: {e.slope.analytic:.6g}, but measured "
        f"{e.slope.numeric:.6g}"
        for e in found.worst
    ]
