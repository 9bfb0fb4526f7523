"""Decision regions: where in the plane a net with two inputs decides for which class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Problem
from caffelite.net import Net
from caffelite.plot.pictures import GREY, INK, colours, new_figure, tidy
from caffelite.plot.probe import Points, Probe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.08
"""Of the larger side: room around the points."""


@dataclass(frozen=True)
class Regions:
    """What a net decides over a rectangle, and the samples in it."""

    name: str
    blob: str
    x: Array
    """(columns,), rising."""
    y: Array
    """(rows,), rising."""
    probabilities: Array
    """(rows, columns, classes): at (x[j], y[i])."""
    points: Array
    """(n, 2); n is 0 if there are none."""
    labels: Array | None
    """(n,): the points' classes, if they are known."""
    predicted: Array
    """(n,): the classes that the net gives the points."""

    @property
    def classes(self) -> Array:
        """(rows, columns): the class decided for; a tie goes to the lower one."""
        return np.asarray(self.probabilities.argmax(axis=2))

    @property
    def wrong(self) -> Array:
        """(n,): is the point of another class than the net says?"""
        if self.labels is None:
            return np.zeros(len(self.points), bool)
        return np.asarray(self.predicted != self.labels)

    @property
    def accuracy(self) -> float | None:
        """The share of points that the net gets right; None without labels."""
        if self.labels is None or not len(self.labels):
            return None
        return float(1 - self.wrong.mean())


def decision_regions(
    net: Net,
    blob: str | None = None,
    *,
    grid: int = 400,
    points: Any = None,
    labels: Any = None,
    extent: tuple[float, float, float, float] | None = None,
) -> Regions:
    """Ask the net about a grid of points, `grid` of them along the longer side.

    `blob` names the scores (see `Probe`). `points` (n, 2) and `labels` (n,) default to all that
    the net's data layer has, `extent` (left, right, bottom, top) to where they lie, or to -1..1.
    Raises NetError if the net has not two inputs.
    """
    if grid < 2:
        raise CaffeliteError(Problem(f"a grid of {grid} points", expected="2 or more"))
    probe = Probe(net, blob)
    if points is None:
        found = probe.points() or Points(np.zeros((0, 2)), None)
    else:
        at = np.asarray(points, np.float64).reshape(-1, 2)
        found = Points(at, None if labels is None else probe.classes(np.asarray(labels), len(at)))
    left, right, bottom, top = extent or _around(found.at)
    step = max(right - left, top - bottom) / (grid - 1)
    x = np.linspace(left, right, max(2, round((right - left) / step) + 1))
    y = np.linspace(bottom, top, max(2, round((top - bottom) / step) + 1))
    plane = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    shares = probe.probabilities(probe.scores(plane))
    predicted = probe.probabilities(probe.scores(found.at)).argmax(axis=1)
    return Regions(
        net.name or "net",
        probe.blob,
        x,
        y,
        shares.reshape(len(y), len(x), -1),
        found.at,
        found.labels,
        predicted,
    )


def _around(points: Array) -> tuple[float, float, float, float]:
    """A rectangle around the points, none of its sides less than two thirds of the other."""
    if not len(points):
        return -1.0, 1.0, -1.0, 1.0
    low, high = points.min(axis=0), points.max(axis=0)
    size = high - low
    longer = float(size.max()) or 1.0
    half = np.maximum(size, longer * 2 / 3) / 2 + MARGIN * longer
    middle = (low + high) / 2
    (left, bottom), (right, top) = middle - half, middle + half
    return float(left), float(right), float(bottom), float(top)


def draw_regions(regions: Regions, window: bool = False) -> Figure:
    """The regions in soft colours that fade towards their borders, and the points on them; a
    point that the net gets wrong has a dark rim."""
    x, y = regions.x, regions.y
    aspect = (y[-1] - y[0]) / (x[-1] - x[0])
    width, head, foot = 5.2, 0.62, 0.5
    height = width * aspect
    figure = new_figure(width + 0.7, height + head + foot, window)
    total = height + head + foot
    axes = figure.add_axes(
        (0.45 / (width + 0.7), foot / total, width / (width + 0.7), height / total)
    )
    tidy(axes)
    axes.locator_params(nbins=5)
    palette = _rgb(max(regions.probabilities.shape[2], _highest(regions.labels) + 1))
    dx, dy = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    axes.imshow(
        _shade(regions.probabilities, palette),
        origin="lower",
        extent=(x[0] - dx, x[-1] + dx, y[0] - dy, y[-1] + dy),
        interpolation="nearest",
        aspect="equal",
    )
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    _draw_borders(axes, regions)
    _draw_points(axes, regions, palette)
    left = 0.45 / (width + 0.7)
    figure.text(
        left, 1 - 0.24 / total, regions.name, size=13, weight="bold", color=INK, va="center"
    )
    figure.text(left, 1 - 0.46 / total, _subtitle(regions), size=9, color=GREY, va="center")
    return figure


def _subtitle(regions: Regions) -> str:
    classes = regions.probabilities.shape[2]
    if regions.accuracy is None:
        return f"{classes} classes"
    return (
        f"{100 * regions.accuracy:.1f} % of {len(regions.points):,} points right, {classes} classes"
    )


def _highest(labels: Array | None) -> int:
    return int(labels.max()) if labels is not None and labels.size else 0


def _rgb(count: int) -> Array:
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(c) for c in colours(count)])


def _shade(probabilities: Array, palette: Array) -> Array:
    """The colour of the best class on white, the stronger the farther the second best is behind."""
    best = probabilities.argmax(axis=2)
    ordered = np.sort(probabilities, axis=2)
    lead = ordered[..., -1] - (ordered[..., -2] if ordered.shape[2] > 1 else 0)
    # In 32 steps: finer ones are not seen and make the file larger.
    strength = (0.08 + 0.28 * np.round(32 * lead) / 32)[..., None]
    return np.asarray(1 - strength * (1 - palette[best]))


def _draw_borders(axes: Any, regions: Regions) -> None:
    p = regions.probabilities
    count = p.shape[2]
    for k in range(count if count > 2 else count - 1):
        lead = p[..., k] - np.delete(p, k, axis=2).max(axis=2)
        if lead.min() < 0 < lead.max():
            axes.contour(regions.x, regions.y, lead, [0], colors="#444444", linewidths=0.8)


def _draw_points(axes: Any, regions: Regions, palette: Array) -> None:
    n = len(regions.points)
    size = float(np.clip(9000 / max(n, 1), 4, 26))
    for wrong in (False, True):
        chosen = regions.wrong == wrong
        if not chosen.any():
            continue
        fill = "white" if regions.labels is None else palette[regions.labels[chosen]]
        axes.scatter(
            *regions.points[chosen].T,
            s=size * (1.3 if wrong else 1),
            c=fill,
            edgecolors=INK if wrong or regions.labels is None else "white",
            linewidths=1.1 if wrong else 0.6,
            zorder=4 if wrong else 3,
        )
