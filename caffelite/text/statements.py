"""The common statements of a net, each read by one regular expression: `name: value` and `name {`.

What is written in a rarer way (comments inside a field, `<`, `- 1`, 0x1F, extensions …) is left to
the grammar, and so is what is wrong.
"""

from __future__ import annotations

import re

from caffelite.errors import Source, Span
from caffelite.text.literals import unescape
from caffelite.text.tree import Field, Scalar

# Each of these can match in one way only, so that no text makes them slow.
GAP = r"[ \t\n\r\f\v]*(?:\#[^\n]*[ \t\n\r\f\v]*)*"
SEPARATED = rf"{GAP}(?:[,;]{GAP})?"
_STRING = r""""[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"|'[^'\\\n]*(?:\\[^\n][^'\\\n]*)*'"""
_WHOLE = "(?:0|[1-9][0-9]{0,17})"
_VALUE = rf"""(?: ({_STRING})
    | (-?{_WHOLE}(?![A-Za-z0-9_.]))
    | (-?(?:{_WHOLE}(?:\.[0-9]{{0,30}})?|\.[0-9]{{1,30}})(?:[eE][+-]?[0-9]{{1,9}})?[fF]?
      (?![A-Za-z0-9_.]))
    | ([A-Za-z_][A-Za-z0-9_]*) )"""
STATEMENT = rf"""([A-Za-z_][A-Za-z0-9_]*)[ \t]*
    (?: :[ \t\n]*(?:{_VALUE}{SEPARATED} | (\[){GAP} | ({{){GAP}) | ({{){GAP} )"""
NAME, _TEXT, _INT, _FLOAT, WORD, LIST, BRACE, BARE_BRACE = range(1, 9)
"""The groups of STATEMENT: a name, and what comes behind it."""
_ITEM = re.compile(rf"{_VALUE}{GAP}(?:,{GAP}(?!\])|(?=\]))", re.VERBOSE)
_LIST_END = re.compile(rf"\]{SEPARATED}", re.VERBOSE)
_NEXT_STRING = re.compile(rf"{GAP}({_STRING})", re.VERBOSE)
_AFTER = re.compile(SEPARATED, re.VERBOSE)


def scalar_field(
    match: re.Match[str], kind: int, source: Source, line: int, base: int, after: int
) -> tuple[Field, int]:
    """The field `name: value` that STATEMENT has matched with a group up to WORD, and where the
    next statement begins. It begins on `line`, which goes from the offset `base` to `after`."""
    name, raw = match.group(NAME, kind)
    begin, stop = match.start(kind), match.end()
    if begin < after:
        place = Span(source, line, begin - base + 1, len(raw))
    else:
        place = source.span(begin, len(raw))
    value = _scalar(kind, raw, place)
    if kind == _TEXT and source.text[stop : stop + 1] in ("'", '"'):
        stop = _join(value, source.text, match.end(kind)) or stop
    return Field(name, value, Span(source, line, match.start() - base + 1, len(name))), stop


def _scalar(kind: int, raw: str, place: Span) -> Scalar:
    """The value that a group of _VALUE has matched."""
    if kind == _TEXT:
        return Scalar("string", unescape(raw), raw, place)
    if kind == WORD:
        return Scalar("word", raw, raw, place)
    if kind == _INT:
        return Scalar("int", int(raw), raw, place)
    return Scalar("float", float(raw.rstrip("fF")), raw, place)


def _join(first: Scalar, text: str, at: int) -> int | None:
    """Take the strings that follow the first one into it. Gives where the next statement begins;
    None if there are none."""
    raws = [first.raw]
    while match := _NEXT_STRING.match(text, at):
        raws.append(match[1])
        at = match.end()
    if len(raws) == 1:
        return None
    first.value, first.raw = b"".join(map(unescape, raws)), " ".join(raws)
    behind = _AFTER.match(text, at)
    return behind.end() if behind else at


def items_of(source: Source, at: int) -> tuple[list[Scalar], int] | None:
    """The values of a list, and where the next statement begins. None if something else is in it,
    which includes that there is nothing."""
    text, items = source.text, []
    while match := _ITEM.match(text, at):
        kind = match.lastindex or 0
        raw = match[kind]
        items.append(_scalar(kind + 1, raw, source.span(at, len(raw))))
        at = match.end()
    end = _LIST_END.match(text, at)
    return (items, end.end()) if items and end else None
