"""What a test found about classes, as text and for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.report.table import Column, shorten, table
from caffelite.use.classes import Classes

MATRIX = 20
"""Up to so many classes are shown as a matrix, and all of them in the table."""
LISTED = 10
NAME = 12


def text(found: Classes, width: int | None = None) -> str:
    """Accuracy, the classes, what is confused, the worst mistakes."""
    lines = [f"{found.right:,} of {found.count:,} right ({found.accuracy:.2%})"]
    if found.ignored:
        lines[0] += f", {found.ignored:,} labels ignored"
    lines += ["", *_table(found, width)]
    if found.right < found.count:
        lines += ["", *_confusion(found, width)]
    if found.worst:
        lines += ["", "the worst mistakes, by the share that the right class got:"]
        lines += [
            f"  {m.share:.4f}  {m.sample}: {found.name(m.label)}, "
            f"taken for {found.name(m.said)} ({m.said_share:.4f})"
            for m in found.worst
        ]
    return "\n".join(lines)


def _table(found: Classes, width: int | None) -> list[str]:
    columns = [
        Column("class", cut=True),
        Column("precision", right=True),
        Column("recall", right=True),
        Column("F1", right=True, gives_way=2),
        Column("samples", right=True, gives_way=1),
    ]
    precision, recall, f1, samples = found.precision, found.recall, found.f1, found.samples
    shown = range(len(samples))
    head = []
    if len(samples) > MATRIX:
        order = np.argsort(np.where(np.isnan(recall), 2, recall), kind="stable")
        shown = order[:LISTED].tolist()
        head = [f"the {LISTED} of {len(samples)} classes that were found least:"]
    rows = [
        [found.name(i), *map(_part, (precision[i], recall[i], f1[i])), f"{samples[i]:,}"]
        for i in shown
    ]
    mean = [_part(_mean(values)) for values in (precision, recall, f1)]
    return [*head, *table(columns, rows, [["mean", *mean, f"{found.count:,}"]], width)]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _part(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"


def _confusion(found: Classes, width: int | None) -> list[str]:
    count = len(found.confusion)
    names = [shorten(found.name(i), NAME) for i in range(count)]
    rows = [
        [name, *(str(n) if n else "." for n in row)] for name, row in zip(names, found.confusion)
    ]
    columns = [Column(""), *(Column(name, right=True) for name in names)]
    lines = table(columns, rows)
    if count <= MATRIX and max(map(len, lines)) <= (width or 100):
        return ["a row for each class, in the columns what it was taken for:", *lines]
    lines = ["confused most often:"]
    for label, said, times in found.pairs(LISTED):
        lines.append(f"  {times:>6,}  {found.name(label)}, taken for {found.name(said)}")
    return lines


def plain(found: Classes) -> dict[str, Any]:
    """Everything, for JSON."""

    def numbers(values: np.ndarray) -> list[float | None]:
        return [None if np.isnan(v) else float(v) for v in values]

    return {
        "samples": found.count,
        "right": found.right,
        "accuracy": found.accuracy if found.count else None,
        "ignored_labels": found.ignored,
        "classes": [
            {"class": i, "name": found.name(i), "samples": n, "precision": p, "recall": r, "f1": f}
            for i, (n, p, r, f) in enumerate(
                zip(
                    found.samples.tolist(),
                    numbers(found.precision),
                    numbers(found.recall),
                    numbers(found.f1),
                )
            )
        ],
        "confusion": found.confusion.tolist(),
        "worst": [
            {
                "sample": m.sample,
                "label": m.label,
                "said": m.said,
                "share": m.share,
                "said_share": m.said_share,
            }
            for m in found.worst
        ],
    }
