"""A summary as text, HTML, JSON and CSV."""

from __future__ import annotations

import csv
import html as markup
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from caffelite.blob import Shape
from caffelite.report.table import Column, si, size, table

if TYPE_CHECKING:
    from caffelite.report.summary import Row, Summary

COLUMNS = [
    Column("layer", cut=True),
    Column("type", gives_way=4, cut=True),
    Column("top", gives_way=3, cut=True),
    Column("parameters", right=True),
    Column("mult-adds", right=True, gives_way=1),
    Column("inference", right=True, gives_way=6),
    Column("training", right=True, gives_way=5),
]


def text(summary: Summary, width: int | None = None) -> str:
    """The table and the totals below it."""
    columns = _columns(summary)
    rows = [_cells(row)[: len(columns)] for row in summary.rows]
    lines = table(columns, rows, [_foot(summary)[: len(columns)]], width)
    kept = summary.total.parameters - summary.total.learned
    if kept:
        lines.append(f"{kept:,} of the parameters are kept, not learned (statistics)")
    if summary.unknown:
        lines.append(f"?: not known, for want of the types {'; '.join(summary.unknown)}.")
        lines.append("Parameters, mult-adds and memory are of the other layers.")
    return "\n".join([title(summary), "", *lines])


def _columns(summary: Summary) -> list[Column]:
    return COLUMNS if summary.total.training else COLUMNS[:-1]


def _foot(summary: Summary) -> list[str]:
    total = summary.total
    layers = f"{len(summary.rows)} layer{'s' if len(summary.rows) != 1 else ''}"
    cells = [layers, "", "", f"{total.parameters:,}", si(total.multiply_adds)]
    return [*cells, size(total.inference), size(total.training)]


def title(summary: Summary) -> str:
    """The net's name and phase."""
    return f"{summary.name} {summary.phase}".rstrip()


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        row.type,
        ", ".join(map(shape, (s for _, s in row.tops))) + (" in place" if row.in_place else ""),
        f"{row.parameters:,}" if row.parameters else "",
        si(row.multiply_adds) if row.multiply_adds else "",
        size(row.inference) if row.inference else "",
        size(row.training) if row.training else "",
    ]


def shape(extents: Shape | None) -> str:
    """64x3x28x28; a scalar is 1; ? where it cannot be known."""
    if extents is None:
        return "?"
    return "x".join(map(str, extents)) or "1"


def html(summary: Summary) -> str:
    """A table for a notebook."""
    columns = _columns(summary)

    def line(cells: list[str], tag: str = "td") -> str:
        aligned = (
            f'<{tag} style="text-align:{"right" if c.right else "left"}">'
            f"{markup.escape(cell)}</{tag}>"
            for c, cell in zip(columns, cells)
        )
        return f"<tr>{''.join(aligned)}</tr>"

    return (
        f"<table><caption>{markup.escape(title(summary))}</caption>"
        f"<thead>{line([c.title for c in columns], 'th')}</thead>"
        f"<tbody>{''.join(line(_cells(row)) for row in summary.rows)}</tbody>"
        f"<tfoot>{line(_foot(summary), 'th')}</tfoot></table>"
    )


def as_json(summary: Summary) -> str:
    """Everything, in bytes and whole numbers."""
    return json.dumps(asdict(summary), indent=2)


def as_csv(summary: Summary) -> str:
    """A line for each layer."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    titles = ["layer", "type", "tops", "shapes", "parameters", "multiply_adds"]
    writer.writerow([*titles, "inference_bytes", "training_bytes"])
    for row in summary.rows:
        names = " ".join(name for name, _ in row.tops)
        shapes = " ".join(shape(extents) for _, extents in row.tops)
        numbers = [row.parameters, row.multiply_adds, row.inference, row.training]
        writer.writerow([row.name, row.type, names, shapes, *numbers])
    return out.getvalue()
