"""Loss, accuracy and learning rate over the iterations of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caffelite.plot.logs import Curve, Log
from caffelite.plot.pictures import COLOURS, FAINT, GREY, INK, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKED = 60
"""Curves of up to so many values show each as a dot."""


def draw_curves(log: Log, title: str, window: bool = False) -> Figure:
    """One panel for losses, one for accuracies and a low one for the learning rate, each if the
    log has any; where a run was taken up again there is a dotted line."""
    test = [c for c in log.outputs.values() if c.split == "test"]
    # A training batch's own losses are the ragged ones behind the displayed loss: left out.
    accuracies = [c for c in log.outputs.values() if c.is_accuracy]
    losses = [log.loss, *(c for c in test if not c.is_accuracy)]
    panels: list[tuple[str, list[Curve], float]] = [
        ("loss", [c for c in losses if c.values], 2.2),
        ("accuracy", [c for c in accuracies if c.values], 1.8),
        ("learning rate", [log.rate] if log.rate.values else [], 0.8),
    ]
    panels = [panel for panel in panels if panel[1]]
    heights = [height for _, _, height in panels]
    total = sum(heights) + 0.32 * len(panels) + 0.85
    figure = new_figure(6.2, total, window)
    grid = figure.add_gridspec(
        len(panels),
        1,
        height_ratios=heights,
        left=0.105,
        right=0.90,
        top=1 - 0.72 / total,
        bottom=0.5 / total,
        hspace=0.32 * len(panels) / sum(heights),
    )
    first: Axes | None = None
    for row, (what, curves, _) in enumerate(panels):
        axes = figure.add_subplot(grid[row], sharex=first)
        first = first or axes
        tidy(axes)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_title(what, loc="left", size=9, color=GREY, pad=8)
        axes.tick_params(labelbottom=row == len(panels) - 1)
        for at in log.resumed:
            axes.axvline(at, color=GREY, linewidth=0.8, linestyle=":")
        _draw(axes, what, curves)
    if first is not None:
        last = figure.axes[-1]
        last.set_xlabel("iteration", size=8, color=GREY, labelpad=3)
    figure.text(0.105, 1 - 0.26 / total, title, size=13, weight="bold", color=INK, va="center")
    return figure


def _draw(axes: Axes, what: str, curves: list[Curve]) -> None:
    if what == "learning rate":
        iterations, values = arrays_of(curves[0])
        axes.plot(iterations, values, color=GREY, linewidth=1, drawstyle="steps-post")
        scale(axes, [values])
        axes.locator_params(axis="y", nbins=3) if axes.get_yscale() == "linear" else None
        return
    drawn = []
    for curve, colour in zip(curves, _colours(curves)):
        iterations, values = arrays_of(curve)
        axes.plot(
            iterations,
            values,
            color=colour,
            linewidth=1.4,
            marker="o" if len(values) <= MARKED else "",
            markersize=4,
            markeredgecolor="white",
            markeredgewidth=0.6,
            clip_on=False,
        )
        drawn.append((iterations[-1], values[-1], _name(curve, curves), colour))
    if what == "loss":
        scale(axes, [arrays_of(c)[1] for c in curves])
    else:
        low, high = axes.get_ylim()
        axes.set_ylim(low, min(high, 1.0) if high > 1 >= max(d[1] for d in drawn) else high)
    _name_curves(axes, drawn)


def arrays_of(curve: Curve) -> tuple[Any, Any]:
    """Iterations, rising, and values."""
    iterations = np.array(sorted(curve.values))
    return iterations, np.array([curve.values[i] for i in iterations.tolist()])


def _colours(curves: list[Curve]) -> list[str]:
    """The training is blue, tests have the other colours in their order."""
    tests = iter(COLOURS[1:] * len(curves))
    return [COLOURS[0] if c.split == "train" else next(tests) for c in curves]


def _name(curve: Curve, among: list[Curve]) -> str:
    """ "test", or as much more as it takes to tell the curve from the others."""
    alike = [c for c in among if c.split == curve.split]
    words = [curve.split]
    if len({c.net for c in alike}) > 1:
        words.append(str(curve.net))
    if len({c.name for c in alike}) > 1:
        words.append(curve.name)
    return " ".join(words)


def scale(axes: Axes, values: list[Any]) -> None:
    """Logarithmic, where the values are positive and go over more than one power of ten."""
    finite = np.concatenate(values)
    finite = finite[np.isfinite(finite)]
    if finite.size and finite.min() > 0 and finite.max() > 8 * finite.min():
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        axes.set_yscale("log")
        wide = finite.max() > 1000 * finite.min()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _name_curves(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Each curve's name at its end, moved apart where they would overlap."""
    low, high = axes.transData.inverted().transform(axes.transAxes.transform([(0, 0), (0, 1)]))[
        :, 1
    ]
    log = axes.get_yscale() == "log"

    def height(value: float) -> float:
        a, b, v = np.log([low, high, value]) if log else (low, high, value)
        return float((v - a) / (b - a))

    gap, below = 0.1, -1.0
    right = max(end[0] for end in ends)
    for at, value, name, colour in sorted(ends, key=lambda end: end[1]):
        place = max(height(value), below + gap) if np.isfinite(value) else 0.5
        below = place
        axes.annotate(
            f"{name} {value:.3g}",
            (at if len(ends) == 1 else right, place),
            (7, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=colour,
            size=8,
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            annotation_clip=False,
        )
