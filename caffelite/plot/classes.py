"""What a test found about classes, as a picture: the confusion matrix and the worst mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caffelite.blob import Array
from caffelite.plot.pictures import COLOURS, GREY, INK, new_figure, tidy
from caffelite.report.table import shorten
from caffelite.use.classes import Classes, Mistake

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 40
"""Up to so many classes have their names at the axes."""
NUMBERED = 16
"""Up to so many classes have their counts in the cells."""
ACROSS = 5
"""Pictures of mistakes beside each other."""


def draw_classes(found: Classes, title: str) -> Figure:
    """The matrix, shares of each class in blue, and below it the worst mistakes that are images."""
    pictures = [m for m in found.worst if m.picture is not None]
    rows = -(-len(pictures) // ACROSS)
    side, gap = 5.2, 1.45
    head, foot = 0.75, 0.75
    matrix = side * 0.78
    width, height = side + 1.2, head + matrix + foot + rows * gap + (0.35 if rows else 0)
    figure = new_figure(width, height)
    left = 1.35
    axes = figure.add_axes(
        (left / width, 1 - (head + matrix) / height, matrix / width, matrix / height)
    )
    _draw_matrix(axes, found)
    figure.text(
        0.3 / width, 1 - 0.26 / height, title, size=13, weight="bold", color=INK, va="center"
    )
    said = f"{found.accuracy:.2%} of {found.count:,} samples right, {len(found.confusion)} classes"
    figure.text(0.3 / width, 1 - 0.48 / height, said, size=9, color=GREY, va="center")
    if rows:
        top = head + matrix + foot
        figure.text(
            0.3 / width, 1 - top / height, "the worst mistakes", size=9, color=GREY, va="center"
        )
        cell = (width - 0.6) / ACROSS
        for k, mistake in enumerate(pictures):
            x = 0.3 + (k % ACROSS) * cell
            y = top + 0.2 + (k // ACROSS) * gap
            box = (x / width, 1 - (y + 0.95) / height, (cell - 0.15) / width, 0.95 / height)
            _draw_mistake(figure.add_axes(box), mistake, found)
    return figure


def _draw_matrix(axes: Axes, found: Classes) -> None:
    count = len(found.confusion)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.nan_to_num(found.confusion / found.samples[:, None])
    blue = np.array([int(COLOURS[0][i : i + 2], 16) / 255 for i in (1, 3, 5)])
    axes.imshow(1 - (shares**0.6)[..., None] * (1 - blue), interpolation="nearest")
    tidy(axes)
    axes.set_xlabel("taken for", size=8, color=GREY)
    axes.set_ylabel("class", size=8, color=GREY)
    if count > NAMED:
        return
    names = [shorten(found.name(i), 12) for i in range(count)]
    upright = max(map(len, names)) > 4 and count > 3
    axes.set_xticks(range(count), names, rotation=90 if upright else 0)
    axes.set_yticks(range(count), names)
    size = 8 if count <= 20 else 6
    axes.tick_params(labelsize=size, labelcolor=INK)
    for i, j in np.argwhere(found.confusion) if count <= NUMBERED else ():
        axes.text(
            j,
            i,
            f"{found.confusion[i, j]:,}",
            ha="center",
            va="center",
            size=8 if count <= 10 else 6,
            color="white" if shares[i, j] > 0.4 else INK,
        )


def _draw_mistake(axes: Axes, mistake: Mistake, found: Classes) -> None:
    assert mistake.picture is not None
    axes.imshow(as_image(mistake.picture), interpolation="nearest", cmap="gray")
    axes.axis("off")
    axes.set_title(
        f"{shorten(found.name(mistake.label), 12)}\nnot {shorten(found.name(mistake.said), 12)}",
        size=7,
        color=INK,
        pad=2,
        y=-0.32,
    )


def as_image(sample: Array) -> Array:
    """A prepared sample (C, H, W) as something to look at: stretched from its lowest to its
    highest value, B G R as R G B, one channel as grey."""
    low, high = float(sample.min()), float(sample.max())
    scaled = (sample - low) / (high - low) if high > low else np.zeros_like(sample)
    if len(sample) == 1:
        return np.asarray(scaled[0])
    return np.asarray(scaled[:3][::-1].transpose(1, 2, 0))
