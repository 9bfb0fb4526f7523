"""A diagram as text for other programs: Graphviz's DOT and Mermaid."""

from __future__ import annotations

from caffelite.draw.diagram import Box, Diagram
from caffelite.draw.kinds import COLOURS


def dot(diagram: Diagram, rankdir: str = "TB") -> str:
    """For `dot -Tsvg`. `rankdir` is the way the net runs: TB from top to bottom, BT, LR, RL."""
    lines = [
        f"digraph {_dot_text(diagram.name)} {{",
        *([f"  rankdir={rankdir};"] if rankdir != "TB" else []),
        '  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11];',
        '  edge [fontname="Helvetica", fontsize=9];',
    ]
    number = {id(box): i for i, box in enumerate(diagram.boxes)}
    for i, box in enumerate(diagram.boxes):
        colour = COLOURS[box.parts[0].kind]
        lines.append(
            f'  n{i} [label={_dot_text(chr(10).join(_lines(box)))}, fillcolor="{colour}"];'
        )
    for arrow in diagram.arrows:
        shape = "" if arrow.shape is None else "x".join(map(str, arrow.shape)) or "1"
        label = f" [label={_dot_text(shape)}]" if shape else ""
        lines.append(f"  n{number[id(arrow.source)]} -> n{number[id(arrow.target)]}{label};")
    return "\n".join([*lines, "}", ""])


def mermaid(diagram: Diagram) -> str:
    """For Markdown: a code block that begins with ```mermaid."""
    lines = ["flowchart TD"]
    number = {id(box): i for i, box in enumerate(diagram.boxes)}
    for i, box in enumerate(diagram.boxes):
        label = "<br/>".join(map(_mermaid_text, _lines(box)))
        lines.append(f'  n{i}["{label}"]:::{box.parts[0].kind}')
    for arrow in diagram.arrows:
        shape = "" if arrow.shape is None else "x".join(map(str, arrow.shape)) or "1"
        label = f"|{shape}|" if shape else ""
        lines.append(f"  n{number[id(arrow.source)]} -->{label} n{number[id(arrow.target)]}")
    for kind in dict.fromkeys(box.parts[0].kind for box in diagram.boxes):
        lines.append(f"  classDef {kind} fill:{COLOURS[kind]},stroke:#6B7680,color:#1F2933")
    return "\n".join([*lines, ""])


def _lines(box: Box) -> list[str]:
    if box.tag:
        return [box.name]
    first, *rest = box.parts
    phase = f" ({first.phase})" if first.phase else ""
    strips = [
        f"{part.name} {part.caption}{f' ({part.phase})' if part.phase else ''}" for part in rest
    ]
    return [first.name + phase, first.caption, *strips]


def _dot_text(text: str) -> str:
    clean = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{clean}"'


def _mermaid_text(text: str) -> str:
    for letter, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(letter, code)
    return "".join(c if c.isprintable() else " " for c in text)
