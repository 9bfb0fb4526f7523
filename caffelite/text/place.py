"""Where the parser stopped in a text, what came before and what could have come."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from lark import Token

from caffelite.errors import Source, Span
from caffelite.text.lexer import Lexeme
from caffelite.text.literals import shortened

CLOSERS = {"{": "}", "<": ">", "[": "]"}


class Tokens(Sequence[Token]):
    """Small tokens of a text, of which there may be very many. Lark's own are made of them where
    one is looked at."""

    def __init__(self, source: Source, lexemes: Iterable[Lexeme]) -> None:
        self.kinds: list[str] = []
        self._source, self._starts, self._ends = source, array("q"), array("q")
        for lexeme in lexemes:
            self.kinds.append(lexeme.type)
            self._starts.append(lexeme.start_pos)
            self._ends.append(lexeme.start_pos + len(lexeme.value))

    def __len__(self) -> int:
        return len(self.kinds)

    @overload
    def __getitem__(self, place: int) -> Token: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Token]: ...
    def __getitem__(self, place: int | slice) -> Token | Sequence[Token]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        start, end = self._starts[place], self._ends[place]
        _, line, col, width = self._source.span(start, end - start)
        word = self._source.text[start:end]
        return Token(self.kinds[place], word, start, line, col, line, col + width, end)


@dataclass
class Place:
    """Where the parser stopped, and what it had read."""

    source: Source
    at: int
    found: str | None
    before: Tokens
    accepts: Collection[str]

    @cached_property
    def rest(self) -> str:
        """The text from here to the end of the line."""
        return self.source.text[self.at :].partition("\n")[0]

    @property
    def lexeme(self) -> str:
        """The number, word or string here, or the single character."""
        match = re.match(r"-?[\w.]+|\"[^\"]*\"|'[^']*'", self.rest)
        return match[0] if match else self.rest[:1]

    @property
    def what(self) -> str:
        if self.found == "$END":
            return "end of the text"
        return self.lexeme if self.found == "STRING" else f'"{shortened(self.lexeme)}"'

    @property
    def span(self) -> Span:
        return self.span_of(self.at, len(self.lexeme) or 1)

    def span_of(self, start: int, width: int) -> Span:
        return self.source.span(start, width)

    def token(self, back: int) -> Token | None:
        """The token so many places back: 1 is the one just before the mistake."""
        return self.before[-back] if len(self.before) >= back else None

    def starts_a_line(self) -> bool:
        last = self.token(1)
        return last is None or "\n" in self.source.text[last.end_pos : self.at]

    @cached_property
    def open(self) -> list[int]:
        """The brackets not closed yet, as places in `before`."""
        stack: list[int] = []
        for i, kind in enumerate(self.before.kinds):
            if kind in ("LBRACE", "LANGLE", "LSQUARE"):
                stack.append(i)
            elif kind in ("RBRACE", "RANGLE", "RSQUARE"):
                stack.pop()
        return stack

    @property
    def wants_colon(self) -> bool:
        return "COLON" in self.accepts

    @property
    def wants_value(self) -> bool:
        return "NUMBER" in self.accepts

    @property
    def wants_field(self) -> bool:
        return "LSQUARE" in self.accepts and not self.wants_colon and not self.wants_value

    @property
    def expected(self) -> str:
        if self.wants_colon:
            return '":" and a value, or a block "{ ... }"'
        if self.wants_value:
            return 'a value: a number, a word, a "quoted text" or a block "{ ... }"'
        if self.wants_field:
            closer = f' or "{CLOSERS[self.before[self.open[-1]]]}"' if self.open else ""
            return f"a field such as name: value or name {{ ... }}{closer}"
        if "LBRACE" in self.accepts:
            return 'a block "{ ... }"'
        if "COMMA" in self.accepts:
            return '"," or "]" after an item of a list'
        return "an extension's name such as [my.package.field]"
