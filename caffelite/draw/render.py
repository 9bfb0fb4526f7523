"""A diagram in one of the formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caffelite.errors import CaffeliteError, Problem

if TYPE_CHECKING:
    from caffelite.draw.diagram import Diagram

FORMATS = {".svg": "svg", ".png": "png", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid"}
"""How names of files end, and what is written then."""


def format_of(suffix: str, target: str, hint: str | None = None) -> str:
    """The format for a file that ends in `suffix`. Raises CaffeliteError if there is none."""
    if suffix.lower() not in FORMATS:
        raise CaffeliteError(
            Problem(
                f'"{target}" does not end like a picture',
                expected="a name that ends in " + ", ".join(FORMATS),
                hint=hint,
            )
        )
    return FORMATS[suffix.lower()]


def render(drawn: Diagram, form: str, wrap: bool = True, rankdir: str = "TB") -> bytes:
    """The file's content. `rankdir`, which way the net runs (TB, BT, LR), is for Graphviz alone:
    our own pictures run from top to bottom, in columns with `wrap`."""
    if form == "dot":
        from caffelite.draw.languages import dot

        return dot(drawn, rankdir).encode()
    if form == "mermaid":
        from caffelite.draw.languages import mermaid

        return mermaid(drawn).encode()
    from caffelite.draw.scene import compose

    scene = compose(drawn, wrap=wrap)
    if form == "svg":
        from caffelite.draw.svg import svg

        return svg(scene).encode()
    from caffelite.draw.png import png

    return png(scene)
