"""The lexer of the grammar: text → tokens.

Nearly all of a net is `name: value` and `name {`. To read these piece by piece, four tokens for a
field, costs many times what one regular expression costs that takes in the whole of it. So there
are tokens made here beside those that the grammar defines: FIELDS is a run of fields, finished as
the tree holds them; OPEN is a name with the brace of its block. What is written in a rarer way
(comments inside a field, `<`, `- 1`, 0x1F, extensions …) comes in the grammar's own small tokens.

A text means the same with and without the large tokens. A mistake is explained by the small ones
around it: see `Checkpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lark import lexer as lark_lexer

from caffelite.errors import Source, Span
from caffelite.text.statements import (
    BARE_BRACE,
    BRACE,
    LIST,
    NAME,
    STATEMENT,
    WORD,
    items_of,
    scalar_field,
)
from caffelite.text.tree import Field

BETWEEN_CHECKPOINTS = 1000
"""So many statements, or more where the parser's stacks are high, since they are copied."""


class Unreadable(Exception):
    """No token begins at an offset of the text."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


@dataclass(frozen=True)
class Checkpoint:
    """A place between two statements, and the parser's stacks there: what follows a checkpoint can
    be parsed again without what comes before it."""

    at: int = 0
    states: Sequence[Any] = ()
    values: Sequence[Any] = ()


class Reading:
    """What is to be lexed: a text, or in small tokens a stretch of it."""

    def __init__(self, source: Source, begin: int = 0, end: int | None = None) -> None:
        self.source, self.begin = source, begin
        self.large = end is None
        self.end = len(source.text) if end is None else end
        self.checkpoints = [Checkpoint()]
        """In large tokens: the last two. Before the first one, and in the statement behind it, no
        mistake has been met."""


class Lexeme:
    """A token, which costs a third of Lark's own. A small one's value is its text, beginning at the
    offset `start_pos`. All that the parser asks for is the type."""

    __slots__ = ("start_pos", "type", "value")
    end_pos = line = end_line = column = end_column = None

    def __init__(self, type: str, value: Any, start_pos: int) -> None:
        self.type, self.value, self.start_pos = type, value, start_pos


class Lexer(lark_lexer.Lexer):
    """Made by Lark, for its grammar."""

    __future_interface__ = 2  # Lark is to call `lex` with its own state

    def __init__(self, conf: Any) -> None:
        terminals = sorted(conf.terminals, key=lambda terminal: -terminal.priority)
        small = "|".join(f"(?P<{t.name}>{t.pattern.to_regexp()})" for t in terminals)
        self._small = re.compile(small)
        self._any = re.compile(f"(?x:{STATEMENT})|{small}")
        self._ignored = frozenset(conf.ignore)

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Any]:
        """The tokens of a Reading. Raises Unreadable, and BadLiteral where a large token would have
        to hold one."""
        reading: Reading = lexer_state.text
        if not reading.large:
            yield from self._small_tokens(reading.source, reading.begin, reading.end)
            return
        source, end = reading.source, reading.end
        text, starts, match_at = source.text, source.starts, self._any.match
        line, base, after = 1, 0, starts[1]
        run: list[Field] = []
        at = left = 0
        while at < end:
            if not left:
                if run:
                    yield Lexeme("FIELDS", run, at)
                    run = []
                states, values = parser_state.state_stack, parser_state.value_stack
                new = Checkpoint(at, tuple(states), tuple(values))
                reading.checkpoints = [reading.checkpoints[-1], new]
                left = max(BETWEEN_CHECKPOINTS, len(states) // 8)
            left -= 1
            while at >= after:
                base, after = after, starts[line + 1]
                line += 1
            match = match_at(text, at)
            if match is None:
                raise Unreadable(at)
            kind, stop = match.lastindex or 0, match.end()
            if kind <= WORD:
                field, stop = scalar_field(match, kind, source, line, base, after)
                run.append(field)
            elif kind == LIST and (items := items_of(source, stop)):
                span = Span(source, line, at - base + 1, len(match[NAME]))
                run += [Field(match[NAME], item, span, True) for item in items[0]]
                stop = items[1]
            else:
                if run:
                    yield Lexeme("FIELDS", run, at)
                    run = []
                if kind in (BRACE, BARE_BRACE):
                    name, brace = match[NAME], source.span(match.start(kind))
                    span = Span(source, line, at - base + 1, len(name))
                    yield Lexeme("OPEN", (name, span, brace), at)
                elif kind == LIST:
                    yield from self._small_tokens(source, at, stop)
                elif match.lastgroup not in self._ignored:
                    yield Lexeme(str(match.lastgroup), match[0], at)
            at = stop
        if run:
            yield Lexeme("FIELDS", run, at)

    def _small_tokens(self, source: Source, at: int, end: int) -> Iterator[Lexeme]:
        """The grammar's own tokens in a stretch of the text."""
        text, ignored, match_at = source.text, self._ignored, self._small.match
        while at < end:
            match = match_at(text, at)
            if match is None:
                raise Unreadable(at)
            kind = str(match.lastgroup)
            if kind not in ignored:
                yield Lexeme(kind, match[0], at)
            at = match.end()
