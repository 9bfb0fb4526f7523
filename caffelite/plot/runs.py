"""Several runs in one picture: a colour for each, panels for what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from caffelite.plot.curves import arrays_of, scale
from caffelite.plot.logs import Curve, Log
from caffelite.plot.pictures import FAINT, GREY, INK, colours, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKED = 60
"""Curves of up to so many values show each as a dot."""


def draw_runs(logs: Sequence[Log], names: Sequence[str], title: str) -> Figure:
    """Panels for the training loss, for every output of the tests that any run has, and for the
    rate if it differs between runs."""
    panels: list[tuple[str, list[Curve | None]]] = [("training loss", [log.loss for log in logs])]
    keys = dict.fromkeys(
        key for log in logs for key, curve in log.outputs.items() if curve.split == "test"
    )
    for _, net, name in keys:
        title_of = f"test {name}" if not net else f"test {net} {name}"
        panels.append((title_of, [log.outputs.get(("test", net, name)) for log in logs]))
    rates = [log.rate for log in logs]
    if any(rate.values != rates[0].values for rate in rates):
        panels.append(("learning rate", [*rates]))
    panels = [(what, curves) for what, curves in panels if any(c and c.values for c in curves)]
    legend = 0.2 * len(logs)
    height = 0.75 + legend + 2.1 * len(panels)
    figure = new_figure(6.6, height)
    grid = figure.add_gridspec(
        len(panels), 1, left=0.105, right=0.965, hspace=0.34,
        top=1 - (0.85 + legend) / height, bottom=0.45 / height,
    )  # fmt: skip
    palette = colours(len(logs))
    first: Axes | None = None
    for row, (what, curves) in enumerate(panels):
        axes = figure.add_subplot(grid[row], sharex=first)
        first = first or axes
        tidy(axes)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_title(what, loc="left", size=9, color=GREY, pad=6)
        axes.tick_params(labelbottom=row == len(panels) - 1)
        _draw(axes, curves, palette)
    figure.axes[-1].set_xlabel("iteration", size=8, color=GREY, labelpad=3)
    figure.text(0.03, 1 - 0.26 / height, title, size=13, weight="bold", color=INK, va="center")
    for k, (name, colour) in enumerate(zip(names, palette)):
        y = 1 - (0.56 + 0.2 * k) / height
        figure.text(0.105, y, f"{name}", size=8, color=INK, va="center")
        figure.text(0.07, y, "—", size=12, weight="bold", color=colour, va="center")
    return figure


def _draw(axes: Axes, curves: Sequence[Curve | None], palette: Sequence[str]) -> None:
    drawn = []
    for curve, colour in zip(curves, palette):
        if curve is None or not curve.values:
            continue
        iterations, values = arrays_of(curve)
        axes.plot(
            iterations,
            values,
            color=colour,
            linewidth=1.3,
            marker="o" if len(values) <= MARKED else "",
            markersize=3.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
        )
        drawn.append(values)
    if drawn and "accuracy" not in axes.get_title(loc="left"):
        scale(axes, drawn)
    elif drawn:
        low, high = axes.get_ylim()
        most = max(float(np.nanmax(values)) for values in drawn)
        axes.set_ylim(low, 1.0 if high > 1 >= most else high)
