"""Results as a picture: bars for times, lines for growth."""

from __future__ import annotations

from typing import Any

from .report import PASSES, duration, figure_name

COLOURS = {
    "numpy": "#1f77b4",
    "torch": "#0b3c6f",
    "onnxruntime": "#5fa8d3",
    "auto": "#9ecae1",
    "pytorch": "#d95f02",
    "channels-last": "#f0a35e",
    "ort": "#7a7a7a",
    "hand": "#b8b8b8",
}
"""Ours are blue."""


def colour(contender: dict[str, Any]) -> str:
    return COLOURS[contender["key"]]


def bars(results: list[dict[str, Any]], machine: dict[str, Any], path: str) -> None:
    """A panel for each net, batch, pass and figure; a bar for each contender's median, with a mark
    at its minimum."""
    figure, axes = panels(len(results), [len(r["contenders"]) for r in results])
    for axis, result in zip(axes, results):
        contenders = result["contenders"]
        places = range(len(contenders))
        medians = [c["median_us"] for c in contenders]
        axis.barh(places, medians, color=[colour(c) for c in contenders], height=0.7)
        axis.plot([c["min_us"] for c in contenders], places, "|", color="black", markersize=9)
        for place, c in zip(places, contenders):
            axis.text(
                c["median_us"] + max(medians) * 0.015,
                place,
                duration(c["median_us"]),
                va="center",
                fontsize=8,
            )
        axis.set_yticks(list(places), [c["name"] for c in contenders], fontsize=8)
        axis.invert_yaxis()
        axis.set_xlim(0, max(medians) * 1.2)
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        what = f"{result['net']}, batch {result['batch']}, {PASSES[result['pass']]}"
        axis.set_title(f"{what}\n{figure_name(result)}", fontsize=9, loc="left")
    finish(
        figure,
        machine,
        path,
        "Time of one pass: median (bar) and minimum (tick). Shorter is better.",
    )


def lines(curves: list[dict[str, Any]], machine: dict[str, Any], path: str, axis_name: str) -> None:
    """A panel for each curve set: cost against size, both logarithmic, with fitted exponents.

    Each of `curves` has a title and `lines`: name, key, sizes, seconds and exponent."""
    figure, axes = panels(len(curves), [7] * len(curves))
    for axis, curve in zip(axes, curves):
        for line in curve["lines"]:
            label = f"{line['name']}: exponent {line['exponent']:.2f}"
            tint = COLOURS.get(line["key"])
            axis.plot(line["sizes"], line["seconds"], "o-", color=tint, label=label, markersize=4)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(axis_name, fontsize=8)
        axis.set_ylabel("seconds", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, frameon=False)
        axis.set_title(curve["title"], fontsize=9, loc="left")
    finish(figure, machine, path, "Cost against size; exponent 1 is a straight proportion.")


def panels(count: int, rows: list[int]) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = 2 if count > 1 else 1
    high = -(-count // wide)
    heights = [0.7 + 0.3 * max(rows[i * wide : (i + 1) * wide]) for i in range(high)]
    figure = Figure(figsize=(5.5 * wide, 0.9 + sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(high, wide, squeeze=False, height_ratios=heights)
    axes = list(grid.ravel())
    for empty in axes[count:]:
        empty.set_visible(False)
    return figure, axes[:count]


def finish(figure: Any, machine: dict[str, Any], path: str, what: str) -> None:
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}"
    figure.supxlabel(f"{what}\n{where}", fontsize=8)
    figure.savefig(path, dpi=150)
