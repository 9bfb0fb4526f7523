"""A scene as SVG."""

from __future__ import annotations

from html import escape

from caffelite.draw.scene import LINE, Curve, Point, Rectangle, Scene, Words

FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"


def svg(scene: Scene) -> str:
    """The whole file. Texts stay texts: they can be searched and copied."""
    width, height = _n(scene.width), _n(scene.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONT}">'
    )
    return "\n".join(
        [
            head,
            "<!-- drawn by caffelite -->",
            f"<title>{escape(scene.title)}</title>",
            "<defs>",
            '<marker id="a" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 1L8 4L0 7z" fill="{LINE}"/></marker>',
            "</defs>",
            f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
            *map(_shape, scene.shapes),
            "</svg>\n",
        ]
    )


def _shape(shape: Rectangle | Words | Curve) -> str:
    if isinstance(shape, Rectangle):
        stroke = f' stroke="{shape.stroke}"' if shape.stroke else ""
        dash = ' stroke-dasharray="4 3"' if shape.dashed else ""
        radius = f' rx="{_n(shape.radius)}"' if shape.radius else ""
        return (
            f'<rect x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" '
            f'height="{_n(shape.height)}" fill="{shape.fill}"{radius}{stroke}{dash}/>'
        )
    if isinstance(shape, Words):
        anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
        bold = ' font-weight="bold"' if shape.bold else ""
        halo = (
            ' stroke="#FFFFFF" stroke-width="3" paint-order="stroke" stroke-linejoin="round"'
            if shape.halo
            else ""
        )
        return (
            f'<text x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}" '
            f'fill="{shape.colour}"{anchor}{bold}{halo}>{escape(_clean(shape.text))}</text>'
        )
    end = ' marker-end="url(#a)"' if shape.arrow else ""
    return f'<path d="{_path(shape)}" fill="none" stroke="{LINE}" stroke-width="1.1"{end}/>'


def _path(curve: Curve) -> str:
    start, *rest = curve.points
    if not curve.smooth:
        return f"M{_p(start)}" + "".join(f"L{_p(point)}" for point in rest)
    pieces = (rest[i : i + 3] for i in range(0, len(rest), 3))
    return f"M{_p(start)}" + "".join("C" + " ".join(map(_p, piece)) for piece in pieces)


def _p(point: Point) -> str:
    return f"{_n(point[0])},{_n(point[1])}"


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _clean(text: str) -> str:
    """XML has no room for control characters."""
    return "".join(c if c.isprintable() else " " for c in text)
