"""A scene as PNG, painted by Matplotlib."""

from __future__ import annotations

import io
from typing import Any

from caffelite.draw.scene import LINE, Curve, Rectangle, Scene, Words

SCALE = 2.0
"""Pixels for a unit of the scene."""
LONGEST = 16_000
"""No picture is longer than this: a larger scene is drawn smaller."""


def png(scene: Scene) -> bytes:
    """The picture: twice as many pixels as the SVG says, so that small letters are read."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scale = min(SCALE, LONGEST / max(scene.width, scene.height))
    dpi = 100.0
    figure = Figure(figsize=(scene.width * scale / dpi, scene.height * scale / dpi), dpi=dpi)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, scene.width)
    axes.set_ylim(scene.height, 0)
    axes.axis("off")
    points = scale * 72 / dpi  # of the scene's units to points
    for order, shape in enumerate(scene.shapes):
        if isinstance(shape, Rectangle):
            _rectangle(axes, shape, points, order)
        elif isinstance(shape, Words):
            _words(axes, shape, points, order)
        else:
            _curve(axes, shape, points, order)
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", facecolor="white", metadata={"Software": "drawn by caffelite"}
    )
    return buffer.getvalue()


def _rectangle(axes: Any, shape: Rectangle, points: float, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch
    from matplotlib.patches import Rectangle as Square

    style: dict[str, Any] = {
        "facecolor": shape.fill,
        "edgecolor": shape.stroke or "none",
        "linewidth": points if shape.stroke else 0,
        "linestyle": (0, (4, 3)) if shape.dashed else "-",
        "zorder": order,
    }
    if shape.radius:
        corners = f"round,pad=0,rounding_size={shape.radius}"
        axes.add_patch(
            FancyBboxPatch((shape.x, shape.y), shape.width, shape.height, corners, **style)
        )
    else:
        axes.add_patch(Square((shape.x, shape.y), shape.width, shape.height, **style))


def _words(axes: Any, shape: Words, points: float, order: int) -> None:
    from matplotlib.patheffects import withStroke

    text = "".join(c if c.isprintable() else " " for c in shape.text).replace("$", r"\$")
    drawn = axes.text(
        shape.x,
        shape.y,
        text,
        fontsize=shape.size * points,
        color=shape.colour,
        weight="bold" if shape.bold else "normal",
        ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
        va="baseline",
        zorder=order,
    )
    if shape.halo:
        drawn.set_path_effects([withStroke(linewidth=3 * points, foreground="white")])


def _curve(axes: Any, shape: Curve, points: float, order: int) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    kind = Path.CURVE4 if shape.smooth else Path.LINETO
    path = Path(list(shape.points), [Path.MOVETO, *[kind] * (len(shape.points) - 1)])
    axes.add_patch(
        PathPatch(path, fill=False, edgecolor=LINE, linewidth=1.1 * points, zorder=order)
    )
    if shape.arrow:
        x, y = shape.points[-1]
        head = [(x, y), (x - 2.9, y - 7.5), (x + 2.9, y - 7.5)]
        axes.add_patch(Polygon(head, closed=True, facecolor=LINE, edgecolor="none", zorder=order))
