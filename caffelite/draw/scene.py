"""From a diagram to shapes on a page: boxes, lines and words in their places, in no format yet."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from caffelite.draw.columns import Column, fold
from caffelite.draw.diagram import Arrow, Box, Diagram, Part
from caffelite.draw.kinds import COLOURS
from caffelite.draw.layers import arrange

INK, SOFT, LINE = "#1F2933", "#5F6B76", "#6B7680"
TINTS = ("#F3F6FA", "#F8F4EC", "#F1F7F1", "#F7F1F7")
"""Behind blocks; blocks of one structure have one tint."""
MAIN, STRIP, TAG = 36.0, 17.0, 20.0
ROOM = 34.0
"""Between two ranks: a line of text and an arrow head."""
MARGIN, HEAD = 24.0, 64.0
PAD = 11.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = ""
    radius: float = 0.0
    dashed: bool = False


@dataclass(frozen=True)
class Words:
    x: float
    y: float
    text: str
    size: float
    colour: str = INK
    bold: bool = False
    anchor: str = "start"
    """ "start", "middle" or "end": where x is."""
    halo: bool = False
    """Is it kept readable above lines?"""


@dataclass(frozen=True)
class Curve:
    """A line through points: straight pieces, or smooth where three control points follow."""

    points: tuple[Point, ...]
    smooth: bool
    """Bézier pieces: start, then three points for each; else corners."""
    arrow: bool = True


@dataclass
class Scene:
    width: float
    height: float
    title: str
    shapes: list[Rectangle | Words | Curve] = field(default_factory=list)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a text is in DejaVu Sans, the widest of the usual fonts, or a little less."""
    wide = sum(
        0.36 if c in "il.,:;|!'()[]/ -tfjI" else 0.92 if c in "mwMW@%" else 0.66 for c in text
    )
    return wide * size * (1.09 if bold else 1.0)


def box_size(box: Box) -> tuple[float, float]:
    """Room for the words."""
    if box.tag:
        return text_width(box.name, 10) + 18, TAG
    widths = [0.0]
    for i, part in enumerate(box.parts):
        badge = text_width(part.phase, 8) + 14 if part.phase else 0
        if i == 0:
            widths.append(text_width(part.name, 11, bold=True) + badge)
            count = text_width(f"  {amount(part.parameters)}", 9) if part.parameters else 0
            widths.append(text_width(part.caption, 9.5) + count)
        else:
            widths.append(text_width(_strip_text(part), 9) + badge)
    height = MAIN + STRIP * (len(box.parts) - 1)
    return max(72.0, max(widths) + 20), height


def _strip_text(part: Part) -> str:
    return f"{part.name}  {part.caption}" if part.name else part.caption


def amount(count: int) -> str:
    """ "9.4 k": parameters."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g} {letter}"
    return str(count)


def compose(diagram: Diagram, wrap: bool = True) -> Scene:
    """Lay a diagram out. A tall one is broken into columns, where only one line is cut."""
    boxes = diagram.boxes
    index = {id(box): i for i, box in enumerate(boxes)}
    sizes = [box_size(box) for box in boxes]
    edges = [(index[id(a.source)], index[id(a.target)]) for a in diagram.arrows]
    layered = arrange([width for width, _ in sizes], edges)
    heights = [max((sizes[v][1] for v in row if v < len(boxes)), default=0) for row in layered.rows]
    blobs = [(id(a.source), a.port) for a in diagram.arrows]
    columns = fold(layered, [w for w, _ in sizes], heights, ROOM, blobs, wrap)
    page = _Page(diagram, sizes, layered.ranks, layered.x, columns)
    page.groups()
    for arrow, path in zip(diagram.arrows, layered.paths):
        page.arrow(arrow, path)
    for i, box in enumerate(boxes):
        page.box(box, i)
    page.labels(index)
    return page.finish()


class _Page:
    def __init__(
        self,
        diagram: Diagram,
        sizes: Sequence[tuple[float, float]],
        ranks: Sequence[int],
        x: Sequence[float],
        columns: Sequence[Column],
    ) -> None:
        self.diagram, self.sizes, self.columns = diagram, sizes, columns
        self.column_of = [
            next(k for k, c in enumerate(columns) if c.first <= rank <= c.last) for rank in ranks
        ]
        self.x: list[float] = []
        self.top: list[float] = []
        self.bottom: list[float] = []
        for vertex, rank in enumerate(ranks):
            column = columns[self.column_of[vertex]]
            self.x.append(MARGIN + column.left + x[vertex] - column.shift)
            row_top = HEAD + MARGIN + column.tops[rank]
            height = sizes[vertex][1] if vertex < len(sizes) else column.heights[rank]
            # boxes begin at the top of their row, what is short stands in the middle
            space = (column.heights[rank] - height) / 2 if vertex < len(sizes) else 0.0
            self.top.append(row_top + space)
            self.bottom.append(row_top + space + height)
        self.width = max(c.left + c.width for c in columns) + 2 * MARGIN if columns else 200.0
        self.height = HEAD + 2 * MARGIN + max((c.height for c in columns), default=0.0) + 20
        self.shapes: list[Rectangle | Words | Curve] = []
        self.entries: dict[int, list[Arrow]] = defaultdict(list)
        self.exits: dict[int, list[int]] = defaultdict(list)
        place = {id(box): i for i, box in enumerate(diagram.boxes)}
        for arrow in diagram.arrows:
            self.entries[place[id(arrow.target)]].append(arrow)
            ports = self.exits[place[id(arrow.source)]]
            if arrow.port not in ports:
                ports.append(arrow.port)
        for target, arrows in self.entries.items():
            arrows.sort(key=lambda a: self.x[place[id(a.source)]] - self.x[target])
        for ports in self.exits.values():
            ports.sort()

    # Places where lines meet boxes.

    def entry(self, arrow: Arrow, target: int) -> Point:
        arrows = self.entries[target]
        step = min(18.0, 0.7 * self.sizes[target][0] / max(1, len(arrows)))
        offset = (arrows.index(arrow) - (len(arrows) - 1) / 2) * step
        return self.x[target] + offset, self.top[target]

    def exit(self, port: int, source: int) -> Point:
        ports = self.exits[source]
        step = min(60.0, 0.8 * self.sizes[source][0] / max(1, len(ports)))
        offset = (ports.index(port) - (len(ports) - 1) / 2) * step
        return self.x[source] + offset, self.bottom[source]

    def arrow(self, arrow: Arrow, path: Sequence[int]) -> None:
        """A smooth line down; where it goes on in the next column, a way around with corners."""
        start, end = self.exit(arrow.port, path[0]), self.entry(arrow, path[-1])
        points: list[Point] = [start]
        for before, vertex in pairwise(path):
            x, y = (self.x[vertex], self.top[vertex]) if vertex != path[-1] else end
            if self.column_of[before] != self.column_of[vertex]:
                self._curve(points, arrow=False)
                points = self._around(points[-1], (x, y), self.column_of[before])
            last_x, last_y = points[-1]
            half = (y - last_y) / 2
            points += [(last_x, last_y + half), (x, y - half), (x, y)]
            if vertex != path[-1]:
                below = self.bottom[vertex]
                third = (below - y) / 3
                points += [(x, y + third), (x, below - third), (x, below)]
        self._curve(points)

    def _around(self, here: Point, there: Point, column: int) -> list[Point]:
        """Down, right into the gutter, up, across: to above the place where it goes on."""
        low = HEAD + MARGIN + self.columns[column].height + 20
        gutter = MARGIN + self.columns[column + 1].left - 17
        high = HEAD + MARGIN - 24
        corners = (here, (here[0], low), (gutter, low), (gutter, high), (there[0], high))
        self.shapes.append(Curve(corners, smooth=False, arrow=False))
        return [(there[0], high)]

    def _curve(self, points: Sequence[Point], arrow: bool = True) -> None:
        if len(points) > 1:
            self.shapes.append(Curve(tuple(points), smooth=True, arrow=arrow))

    # What is seen of boxes.

    def box(self, box: Box, i: int) -> None:
        width, height = self.sizes[i]
        left, top, middle = self.x[i] - width / 2, self.top[i], self.x[i]
        if box.tag:
            unknown = box.parts[0].kind == "unknown"
            fill = "#FFFFFF" if unknown else COLOURS["data"]
            self.shapes += [
                Rectangle(left, top, width, height, fill, LINE, TAG / 2, dashed=unknown),
                Words(middle, top + 13.5, box.name, 10, INK, anchor="middle"),
            ]
            return
        main = box.parts[0]
        fill = COLOURS[main.kind]
        dashed = main.kind == "unknown"
        self.shapes.append(Rectangle(left, top, width, height, fill, "", 5))
        for k, part in enumerate(box.parts[1:]):
            y = top + MAIN + STRIP * k
            last = k == len(box.parts) - 2
            self.shapes.append(
                Rectangle(left, y, width, STRIP, COLOURS[part.kind], "", 5 if last else 0)
            )
            if last:  # square above, round below
                self.shapes.append(Rectangle(left, y, width, 6, COLOURS[part.kind]))
            indent = self._badge(part, left + width, y + 3)
            self.shapes.append(
                Words(middle - indent / 2, y + 12, _strip_text(part), 9, SOFT, anchor="middle")
            )
        self.shapes.append(Rectangle(left, top, width, height, "none", LINE, 5, dashed))
        indent = self._badge(main, left + width, top + 4)
        self.shapes.append(
            Words(middle - indent / 2, top + 15, main.name, 11, INK, True, anchor="middle")
        )
        text = main.caption + (f"  {amount(main.parameters)}" if main.parameters else "")
        self.shapes.append(Words(middle, top + 29, text, 9.5, SOFT, anchor="middle"))

    def _badge(self, part: Part, right: float, y: float) -> float:
        """The phase, in the corner; how much of the width it takes."""
        if not part.phase:
            return 0.0
        width = text_width(part.phase, 8) + 6
        self.shapes += [
            Rectangle(right - width - 4, y, width, 12, "#FFFFFF", SOFT, 6),
            Words(right - 4 - width / 2, y + 9, part.phase, 7.5, SOFT, anchor="middle"),
        ]
        return width + 4

    def labels(self, index: dict[int, int]) -> None:
        """The shape of every blob, once, where it leaves its box."""
        seen: set[tuple[int, int]] = set()
        for arrow in self.diagram.arrows:
            source = index[id(arrow.source)]
            if arrow.shape is None or (source, arrow.port) in seen:
                continue
            seen.add((source, arrow.port))
            x, y = self.exit(arrow.port, source)
            text = "x".join(map(str, arrow.shape)) or "1"
            others = (a for a in self.diagram.arrows if a.source is arrow.source)
            ways = [self.x[index[id(a.target)]] for a in others if a.port == arrow.port]
            if min(ways) > x + 10:  # beside the line, not on it
                self.shapes.append(Words(x - 5, y + 13, text, 8.5, SOFT, anchor="end", halo=True))
            else:
                self.shapes.append(Words(x + 5, y + 13, text, 8.5, SOFT, halo=True))

    def groups(self) -> None:
        """A tint and a name behind the boxes of a block; equal blocks have one tint."""
        members: dict[str, list[int]] = defaultdict(list)
        for i, box in enumerate(self.diagram.boxes):
            if box.group:
                members[box.group].append(i)
        tints: dict[tuple[str, ...], str] = {}
        for group, places in members.items():
            if len({self.column_of[i] for i in places}) > 1:
                continue
            left = min(self.x[i] - self.sizes[i][0] / 2 for i in places) - PAD
            right = max(self.x[i] + self.sizes[i][0] / 2 for i in places) + PAD
            top = min(self.top[i] for i in places) - 17
            bottom = max(self.bottom[i] for i in places) + 8
            others = (i for i in range(len(self.sizes)) if i not in places)
            if any(
                self.x[i] + self.sizes[i][0] / 2 > left
                and self.x[i] - self.sizes[i][0] / 2 < right
                and self.bottom[i] > top
                and self.top[i] < bottom
                for i in others
            ):
                continue
            parts = (part for i in places for part in self.diagram.boxes[i].parts)
            kinds = tuple(part.caption.split(",")[0] for part in parts)
            tint = tints.setdefault(kinds, TINTS[len(tints) % len(TINTS)])
            self.shapes += [
                Rectangle(left, top, right - left, bottom - top, tint, "#D5DBE1", 9),
                Words(left + 6, top + 12, group, 9, "#8A949E", True),
            ]

    def finish(self) -> Scene:
        """The title, and a legend of the kinds that occur."""
        diagram = self.diagram
        kinds = [k for k in COLOURS if any(p.kind == k for b in diagram.boxes for p in b.parts)]
        count = f"{amount(diagram.parameters)} parameters"
        facts = f"{diagram.phases}, {count if diagram.known else 'not all shapes are known'}"
        head: list[Rectangle | Words | Curve] = [
            Words(MARGIN, 28, diagram.name, 17, INK, True),
            Words(MARGIN + text_width(diagram.name, 17, True) + 14, 28, facts, 10.5, SOFT),
        ]
        x, y = MARGIN, 40.0
        limit = max(self.width, MARGIN * 2 + text_width(diagram.name, 17, True) + 14
                    + text_width(facts, 10.5), 420.0)  # fmt: skip
        for kind in kinds:
            width = 14 + text_width(kind, 9) + 14
            if x + width > limit - MARGIN:
                x, y = MARGIN, y + 16
            head += [
                Rectangle(x, y, 10, 10, COLOURS[kind], LINE, 2, kind == "unknown"),
                Words(x + 14, y + 9, kind, 9, SOFT),
            ]
            x += width
        drop = max(0.0, y - 40.0)
        if drop:
            self.shapes = [_lower(shape, drop) for shape in self.shapes]
        scene = Scene(math.ceil(limit), math.ceil(self.height + drop), diagram.name)
        scene.shapes = [*head, *self.shapes]
        return scene


def _lower(shape: Rectangle | Words | Curve, by: float) -> Rectangle | Words | Curve:
    if isinstance(shape, Curve):
        return Curve(tuple((x, y + by) for x, y in shape.points), shape.smooth, shape.arrow)
    values = {**shape.__dict__, "y": shape.y + by}
    return type(shape)(**values)
