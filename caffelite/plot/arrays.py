"""Pictures of what a net has in it: filters, activations, histograms of weights and gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.plot.pictures import COLOURS, FAINT, GREY, INK, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 256
"""Tiles of one picture; what is beyond is left out, and said."""
ACROSS = 16
BINS = 60


class Named(NamedTuple):
    """An array and what it is called."""

    name: str
    values: Array


def tiles_of(weights: Array, image: Shape | None = None) -> Array:
    """A parameter as tiles (n, height, width, channels of colour: 1 or 3).

    Filters (O, I, h, w) of three inputs are coloured, B G R; of others each input is a tile, the
    inputs of an output beside each other. Rows (O, K) over an `image` (C, H, W) of K values are
    such filters too; any other matrix is one tile, lying on its side if it is tall."""
    if weights.ndim == 2 and image is not None and math.prod(image) == weights.shape[1]:
        weights = weights.reshape(len(weights), *image)
    if weights.ndim == 4:
        if weights.shape[1] == 3:
            return np.ascontiguousarray(weights[:, ::-1].transpose(0, 2, 3, 1))
        planes = weights.reshape(-1, *weights.shape[2:])
        return planes[..., None]
    matrix = weights.reshape(len(weights), -1) if weights.ndim > 1 else weights[None]
    if len(matrix) > 2 * matrix.shape[1]:
        matrix = matrix.T  # lying, it takes less room
    return matrix[None, ..., None]


def draw_tiles(tiles: Array, title: str, subtitle: str, across: int | None = None) -> Figure:
    """Tiles in rows, all on one scale: grey for one channel, from the lowest value to the highest,
    with 0 in the middle where there are values on both sides."""
    left_out = max(0, len(tiles) - MOST)
    tiles = tiles[:MOST]
    count, height, width, channels = tiles.shape
    columns = min(
        count, across or max(1, min(ACROSS, math.ceil(math.sqrt(count * height / width))))
    )
    rows = -(-count // columns)
    gap = 1 if max(height, width) < 40 else 2
    low, high = float(tiles.min()), float(tiles.max())
    if low < 0 < high:
        high = max(-low, high)
        low = -high
    scaled = (tiles - low) / (high - low) if high > low else np.full(tiles.shape, 0.5)
    sheet = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels))
    for k, tile in enumerate(scaled):
        y, x = (k // columns) * (height + gap), (k % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = tile
    inches = 6.0
    tall = min(12.0, max(0.6, inches * sheet.shape[0] / sheet.shape[1]))
    total = tall + 0.85
    figure = new_figure(inches + 0.5, total)
    box = (0.25 / (inches + 0.5), 0.15 / total, inches / (inches + 0.5), tall / total)
    axes = figure.add_axes(box)
    axes.imshow(
        sheet[..., 0] if channels == 1 else sheet,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        aspect="equal",
        filternorm=False,
    )
    axes.axis("off")
    left = 0.25 / (inches + 0.5)
    said = f"{subtitle}, {tiles.min():.3g} to {tiles.max():.3g}"
    said += f"; {left_out:,} more are not shown" if left_out else ""
    figure.text(left, 1 - 0.24 / total, title, size=13, weight="bold", color=INK, va="center")
    figure.text(left, 1 - 0.48 / total, said, size=9, color=GREY, va="center")
    return figure


def draw_vectors(values: Array, title: str, subtitle: str) -> Figure:
    """A blob without places: a bar for each value."""
    figure = new_figure(6.5, 2.8)
    axes = figure.add_axes((0.09, 0.12, 0.88, 0.62))
    tidy(axes)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    flat = values.ravel()
    axes.bar(range(len(flat)), flat, width=0.8 if len(flat) <= 100 else 1.0, color=COLOURS[0])
    figure.text(0.04, 0.915, title, size=13, weight="bold", color=INK, va="center")
    figure.text(0.04, 0.83, subtitle, size=9, color=GREY, va="center")
    return figure


def draw_histograms(
    weights: Sequence[Named], gradients: Sequence[Named], title: str, subtitle: str
) -> Figure:
    """A small histogram for each parameter, and beside it one of its gradient if there are any."""
    rows, columns = len(weights), 2 if gradients else 1
    height = 0.75 + 0.95 * rows
    figure = new_figure(3.6 * columns + 0.4, height)
    grid = figure.add_gridspec(
        rows, columns, left=0.06, right=0.97, hspace=0.95, wspace=0.12,
        top=1 - 0.95 / height, bottom=0.28 / height,
    )  # fmt: skip
    for column, arrays in enumerate([weights, gradients][:columns]):
        for row, (name, values) in enumerate(arrays):
            axes = figure.add_subplot(grid[row, column])
            tidy(axes)
            finite = values[np.isfinite(values)].ravel()
            axes.hist(finite, bins=BINS, color=COLOURS[column], log=False)
            axes.set_yticks([])
            axes.locator_params(axis="x", nbins=5)
            spread = f"{finite.std(dtype=np.float64):.3g}" if finite.size else "-"
            zeros = float((finite == 0).mean()) if finite.size else 0.0
            note = f", {zeros:.0%} are 0" if zeros > 0.005 else ""
            lost = values.size - finite.size
            note += f", {lost:,} are not finite" if lost else ""
            axes.set_title(
                f"{name}: deviation {spread}{note}", loc="left", size=7.5, color=GREY, pad=3
            )
    figure.text(0.03, 1 - 0.24 / height, title, size=13, weight="bold", color=INK, va="center")
    figure.text(0.03, 1 - 0.46 / height, subtitle, size=9, color=GREY, va="center")
    return figure
