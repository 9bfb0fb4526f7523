"""Where the parser stopped in a text, what came before and what could have come."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from caffelite.errors import Source, Span
from caffelite.text.literals import shortened

CLOSERS = {"{": "}", "<": ">", "[": "]"}


@dataclass
class Place:
    """Where the parser stopped, and what it had read."""

    source: Source
    at: int
    found: str | None
    before: list[Token]
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
        text = self.source.text
        line, col = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
        return Span(self.source, line, col, width)

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
        for i, token in enumerate(self.before):
            if token in CLOSERS and token.type != "STRING":
                stack.append(i)
            elif token.type in ("RBRACE", "RANGLE", "RSQUARE"):
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
