"""The tree that parsing gives: blocks of fields, each with its place in the text.

Nothing here knows what a net is. A list `dim: [1, 2]` has become two fields `dim` that are marked
`listed`; an empty list leaves one field whose value is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from caffelite.errors import Source, Span

Kind = Literal["string", "int", "float", "word"]

NOWHERE = Span(Source("<made>", ""), 1, 1)
"""The place of what was made by a program and not read from a text."""


@dataclass(slots=True)
class Scalar:
    """A single value. `value` is str for a word (true, MAX, inf), bytes for a string (the
    format's strings are bytes; UTF-8 in practice), int, or float. `raw` is the text as written."""

    kind: Kind
    value: str | bytes | int | float
    raw: str
    span: Span


@dataclass(slots=True)
class Block:
    """`{ … }` or a whole file. `span` is where it opens."""

    fields: list[Field] = field(default_factory=list)
    span: Span | None = None
    _firsts: dict[str, Field] | None = field(default=None, repr=False, compare=False)

    def first(self, name: str) -> Field | None:
        """The first field of a name. Once one has been asked for, the fields must stay as they
        are."""
        if self._firsts is None:
            self._firsts = {item.name: item for item in reversed(self.fields)}
        return self._firsts.get(name)


@dataclass(slots=True)
class Field:
    """`name: value` or `name { … }`. `span` covers the name; an extension's name keeps its
    brackets (`[my.ext]`)."""

    name: str
    value: Scalar | Block | None
    span: Span
    listed: bool = False
