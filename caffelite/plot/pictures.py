"""What all pictures share: colours, a plain style, and how they get onto disk or screen."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from caffelite.errors import CaffeliteError, Problem
from caffelite.schema.binary import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 160
MARK = b"drawn by caffelite"
"""What the pictures say of themselves, near their start."""
HEAD = 4096
PNG = b"\x89PNG\r\n\x1a\n"

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#6F5BA7", "#8C6D46")
"""Told apart with any kind of colour vision; the first six after Okabe and Ito, 2008."""
INK, GREY, FAINT = "#222222", "#777777", "#DDDDDD"


def colours(count: int) -> list[str]:
    """A colour for each class; beyond eight they are taken from a wheel."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    import colorsys

    wheel = [colorsys.hsv_to_rgb(i / count, 0.65, 0.5 + 0.35 * (i % 2)) for i in range(count)]
    return ["#" + "".join(f"{round(255 * part):02X}" for part in rgb) for rgb in wheel]


def new_figure(width: float, height: float, window: bool = False) -> Figure:
    """An empty figure, in inches. One that is to be shown in a `window` belongs to pyplot."""
    if window:
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes) -> None:
    """Axes without a box: small grey numbers and nothing else."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=GREY, which="both")


def is_drawn(path: str | os.PathLike[str]) -> bool:
    """Is there a picture that caffelite has drawn, which may be drawn anew?"""
    try:
        with open(path, "rb") as file:
            start = file.read(HEAD)
    except OSError:
        return False
    return start.startswith((PNG, b"<svg")) and MARK in start


def save_png(figure: Figure, path: str | os.PathLike[str], force: bool = False) -> str:
    """Write the figure and say how large it is: "1000 x 900 pixels, 80 KB". A picture of that name
    that caffelite has drawn is replaced, another file only by `force`."""
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise CaffeliteError(
            Problem(f'"{path}" does not end in .png', expected="a name for a PNG picture")
        )
    if not target.parent.is_dir():
        raise CaffeliteError(Problem(f'there is no folder "{target.parent}" for "{path}"'))
    if target.exists():
        if not target.is_file():
            raise CaffeliteError(Problem(f'"{path}" is there and is not a file'))
        if not force and target.stat().st_size and not is_drawn(target):
            raise CaffeliteError(
                Problem(
                    f"{path}: exists already, and was not drawn by caffelite: it is left as it is",
                    hint="give the picture another name",
                )
            )
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        dpi=DPI,
        facecolor="white",
        metadata={"Software": MARK.decode()},  # the same picture, the same file
        pil_kwargs={"optimize": True},
    )
    data = buffer.getvalue()
    write_atomically(target, data)
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return f"{width} x {height} pixels, {max(1, len(data) // 1000)} KB"


def has_display() -> bool:
    """Can Matplotlib open a window here?"""
    import matplotlib

    try:
        from matplotlib import pyplot

        pyplot.get_current_fig_manager() if pyplot.get_fignums() else pyplot.close(pyplot.figure())
    except Exception:  # each toolkit fails in its own way where there is no screen
        return False
    return matplotlib.get_backend().lower() not in ("agg", "cairo", "pdf", "pgf", "ps", "svg")


def show_windows() -> None:
    """Show the figures made with `window` until their windows are closed."""
    from matplotlib import pyplot

    pyplot.show()
