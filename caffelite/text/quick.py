"""Texts that hold common statements only, read without the grammar: nearly all nets.

The grammar's parser takes a thirtieth of a second to be made, and twice as long for a text. What is
read here it reads in the same way.
"""

from __future__ import annotations

import re

from caffelite.collecting import no_collection
from caffelite.errors import Source, Span
from caffelite.text.literals import BadLiteral
from caffelite.text.statements import (
    BARE_BRACE,
    GAP,
    LIST,
    NAME,
    SEPARATED,
    STATEMENT,
    WORD,
    items_of,
    scalar_field,
)
from caffelite.text.tree import Block, Field

_START = re.compile(GAP, re.VERBOSE)
_NEXT = re.compile(rf"{STATEMENT} | (\}}){SEPARATED}", re.VERBOSE)
_CLOSED = BARE_BRACE + 1


def read_quickly(source: Source) -> Block | None:
    """The tree of a text with LF line ends. None where something rare is in it, or a mistake."""
    try:
        with no_collection(old=True):
            return _read(source)
    except BadLiteral:
        return None


def _read(source: Source) -> Block | None:
    text, starts, match_at = source.text, source.starts, _NEXT.match
    root = Block([], Span(source, 1, 1))
    fields, outer = root.fields, list[list[Field]]()
    start = _START.match(text)
    at, end = start.end() if start else 0, len(text)
    line, base, after = 1, 0, starts[1]
    while at < end:
        while at >= after:
            base, after = after, starts[line + 1]
            line += 1
        match = match_at(text, at)
        if match is None:
            return None
        kind = match.lastindex or 0
        if kind <= WORD:
            field, at = scalar_field(match, kind, source, line, base, after)
            fields.append(field)
        elif kind == _CLOSED:
            if not outer:
                return None
            fields, at = outer.pop(), match.end()
        else:
            name = match[NAME]
            span = Span(source, line, at - base + 1, len(name))
            if kind == LIST:
                items = items_of(source, match.end())
                if items is None:
                    return None
                fields += [Field(name, item, span, True) for item in items[0]]
                at = items[1]
            else:
                block = Block([], source.span(match.start(kind)))
                fields.append(Field(name, block, span))
                outer.append(fields)
                fields, at = block.fields, match.end()
    return None if outer else root
