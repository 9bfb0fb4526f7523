"""Text in canonical form, with its comments: what `caffelite fmt` writes.

One field a line, two blanks for each block, one blank after a colon, no separators, strings in
double quotes, numbers and words as their author wrote them. A block or a list that stood on one
line stays on one, if it fits; other lists become one line too, unless there are comments in them.
Comments stay where they are: on lines of their own, indented like what follows, or behind a field,
below each other where there are several. One empty line is kept where there were some.

What comes out means the same and is its own canonical form: `format_text` makes sure of the first
each time, the tests of the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Union

from caffelite.errors import CaffeliteError, Problem, Source
from caffelite.text.dump import dump, scalar_text
from caffelite.text.literals import unescape
from caffelite.text.parse import normalised, parse

WIDTH = 100
"""Columns that a block or a list on one line may take."""
INDENT = "  "

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<newline>\n)|(?P<blank>[ \t\r\f\v]+)"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<open>[{<])|(?P<close>[}>])|(?P<list>\[)|(?P<end>\])"""
    r"""|(?P<colon>:)|(?P<separator>[,;])|(?P<word>[^\s#"'{}<>\[\]:,;]+)"""
)


def format_text(source: Source) -> str:
    """The canonical form of a text. Raises ParseError at a mistake in it."""
    source = normalised(source)
    tree = parse(source)
    text = "".join(f"{line}\n" for line in _aligned(_lines(_Reader(source.text).items(), 0)))
    if dump(parse(Source(source.name, text))) != dump(tree):
        problem = Problem(f"{source.name}: its meaning would not be kept: it is left as it is")
        raise CaffeliteError(problem)
    return text


@dataclass
class _Comment:
    """A comment on lines of its own."""

    text: str
    empty_before: bool


@dataclass
class _Field:
    """A field. `value` is its text, or the items of a block or of a list of blocks."""

    name: str
    value: str | _Block | list[_Block]
    empty_before: bool
    behind: str = ""
    """The comment behind it."""


@dataclass
class _Block:
    items: _Items = field(default_factory=list)
    one_line: bool = False
    behind_open: str = ""
    """The comment behind its opening."""


_Items = list[Union[_Comment, "_Field"]]


class _Reader:
    """Reads tokens of a text that has been parsed without a mistake."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []
        line = 1
        for match in _TOKEN.finditer(text):
            kind = str(match.lastgroup)
            if kind == "newline":
                line += 1
            elif kind != "blank":
                self.tokens.append((kind, match[0], line))
        self.at = 0
        self.line = 0
        """The line on which the last token stood."""

    def _peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else "nothing"

    def _next(self) -> str:
        _, text, self.line = self.tokens[self.at]
        self.at += 1
        return text

    def _empty_before(self, first: bool) -> bool:
        return not first and self.tokens[self.at][2] > self.line + 1

    def _comment_behind(self) -> str:
        """A comment on the line of the last token."""
        if self._peek() == "comment" and self.tokens[self.at][2] == self.line:
            return _comment(self._next())
        return ""

    def items(self) -> _Items:
        """Fields and comments up to the end of the block."""
        found: _Items = []
        while self._peek() not in ("close", "nothing"):
            empty = self._empty_before(not found)
            if self._peek() == "comment":
                found.append(_Comment(_comment(self._next()), empty))
            elif self._peek() == "separator":  # behind a comment
                self._next()
            else:
                found.append(self._field(empty))
        return found

    def _field(self, empty: bool) -> _Field:
        name = self._next()
        inside: list[str] = []
        if name == "[":  # an extension: [a.b/c]
            while name[-1] != "]":
                self._take_comments(inside)
                name += self._next()
        self._take_comments(inside)
        if self._peek() == "colon":
            self._next()
        self._take_comments(inside)
        value = self._value(inside)
        behind = self._comment_behind()
        if self._peek() == "separator":
            self._next()
            behind = behind or self._comment_behind()
        made = _Field(name, value, empty, behind)
        if inside:  # there is no better place for them than behind the field
            made.behind = " ".join(filter(None, [made.behind, *inside]))
        return made

    def _take_comments(self, into: list[str]) -> None:
        while self._peek() == "comment":
            into.append(_comment(self._next()))

    def _value(self, inside: list[str]) -> str | _Block | list[_Block]:
        if self._peek() == "open":
            return self._block()
        if self._peek() == "list":
            return self._list(inside)
        return self._scalar(inside)

    def _scalar(self, inside: list[str]) -> str:
        if self._peek() != "string":
            text = self._next()
            if text == "-":
                self._take_comments(inside)
                text += self._next()
            return text
        parts = []
        while self._peek() == "string":
            parts.append(_string(self._next()))
            ahead = self.at
            while ahead < len(self.tokens) and self.tokens[ahead][0] == "comment":
                ahead += 1
            if ahead < len(self.tokens) and self.tokens[ahead][0] == "string":
                self._take_comments(inside)
        return " ".join(parts)

    def _list(self, inside: list[str]) -> str | list[_Block]:
        self._next()
        texts: list[str] = []
        blocks: list[_Block] = []
        while self._peek() != "end":
            self._take_comments(inside)
            if self._peek() == "open":
                blocks.append(self._block())
            elif self._peek() == "separator":
                self._next()
            elif self._peek() != "end":
                texts.append(self._scalar(inside))
            self._take_comments(inside)
        self._next()
        return blocks if blocks else f"[{', '.join(texts)}]"

    def _block(self) -> _Block:
        self._next()
        start = self.line
        behind = self._comment_behind()
        items = self.items()
        self._next()
        return _Block(items, self.line == start, behind)


def _comment(text: str) -> str:
    return text.rstrip()


def _string(text: str) -> str:
    """In double quotes; escapes as they are."""
    if text[0] == '"':
        return text
    if "\\" in text:
        return scalar_text("string", unescape(text))
    return '"' + text[1:-1].replace('"', '\\"') + '"'


Line = tuple[str, str]
"""A line without its comment, and the comment behind it."""


def _lines(items: _Items, depth: int) -> list[Line]:
    lines: list[Line] = []
    for item in items:
        if item.empty_before:
            lines.append(("", ""))
        if isinstance(item, _Comment):
            lines.append((INDENT * depth + item.text, ""))
        else:
            lines += _field_lines(item, depth)
    return lines


def _field_lines(item: _Field, depth: int) -> list[Line]:
    indent, value = INDENT * depth, item.value
    if isinstance(value, str):
        return [(f"{indent}{item.name}: {value}", item.behind)]
    if isinstance(value, list):  # a list of blocks is that many fields
        fields = [_Field(item.name, block, False) for block in value]
        fields[-1].behind = item.behind
        return [line for one in fields for line in _field_lines(one, depth)]
    if value.one_line and (text := _inline(value)) is not None:
        line = f"{indent}{item.name} {text}"
        if len(line) <= WIDTH:
            return [(line, item.behind)]
    if not value.items and not value.behind_open:
        return [(f"{indent}{item.name} {{ }}", item.behind)]
    inner = _lines(value.items, depth + 1)
    return [(f"{indent}{item.name} {{", value.behind_open), *inner, (f"{indent}}}", item.behind)]


def _inline(block: _Block) -> str | None:
    """`{ a: 1 b { c: 2 } }`, or None if that cannot be."""
    parts = []
    for item in block.items:
        if isinstance(item, _Comment) or item.behind:
            return None
        if isinstance(item.value, str):
            parts.append(f"{item.name}: {item.value}")
            continue
        for inner in item.value if isinstance(item.value, list) else [item.value]:
            text = _inline(inner)
            if text is None:
                return None
            parts.append(f"{item.name} {text}")
    return f"{{ {' '.join(parts)} }}" if parts else "{ }"


def _aligned(lines: list[Line]) -> Iterator[str]:
    """The whole lines. Comments behind neighbouring lines stand below each other, unless that
    would move one beyond the width."""
    for commented, group in groupby(lines, key=lambda line: bool(line[1])):
        run = list(group)
        column = max(len(code) for code, _ in run)
        if any(column + 2 + len(comment) > WIDTH for _, comment in run):
            column = 0
        for code, comment in run:
            yield f"{code:<{column}}  {comment}" if commented else code
