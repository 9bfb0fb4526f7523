"""The whole protobuf text format, by its grammar: text → a tree of blocks, or the mistake in it.

`parse` comes here with what `quick` does not read: rare ways to write, and mistakes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedInput, UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from caffelite.collecting import no_collection
from caffelite.errors import ParseError, Problem, Source, Span
from caffelite.text.lexer import Checkpoint, Lexeme, Lexer, Reading, Unreadable
from caffelite.text.literals import BadLiteral, read_number, unescape
from caffelite.text.mistakes import explain
from caffelite.text.place import Tokens
from caffelite.text.tree import Block, Field, Kind, Scalar

_GRAMMAR = Path(__file__).with_name("prototxt.lark")
# One parser serves everyone, and its builder holds the source of the text being parsed.
_one_at_a_time = threading.Lock()


def parse_by_grammar(source: Source) -> Block:
    """The tree of a whole text with LF line ends. Raises ParseError at the first mistake."""
    with _one_at_a_time, no_collection(old=True):
        lark, builder = _parser()
        builder.source = source
        reading = Reading(source)
        try:
            root: Any = lark.parse(reading)
        except (UnexpectedInput, Unreadable, BadLiteral):
            _explain(lark, source, reading.checkpoints[0])
            root = lark.parse(Reading(source, 0, len(source.text)))
    return root  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _parser() -> tuple[Lark, _Builder]:
    builder = _Builder()
    lark = Lark(
        _GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer=Lexer,
        transformer=builder,
        keep_all_tokens=True,
    )
    return lark, builder


def _explain(lark: Lark, source: Source, start: Checkpoint) -> None:
    """Parse a text with a mistake again from a checkpoint before it. Raises ParseError, which says
    what came before the mistake and what could have come."""
    end, found, at = len(source.text), None, 0
    parser = _parser_from(lark, source, start, end)
    try:
        parser.exhaust_lexer()
        parser.feed_eof()  # type: ignore[no-untyped-call]
        return
    except Unreadable as error:
        at = error.at
    except UnexpectedToken as error:
        found = error.token.type
        at = end if found == "$END" else error.token.start_pos
    parser = _parser_from(lark, source, start, at)
    parser.exhaust_lexer()
    small = lark.parse_interactive(Reading(source, 0, at))
    before = Tokens(source, small.lexer_thread.lex(None))  # type: ignore[no-untyped-call]
    accepts = parser.accepts()  # type: ignore[no-untyped-call]
    raise ParseError(explain(source, at, found, before, accepts))


def _parser_from(lark: Lark, source: Source, start: Checkpoint, end: int) -> InteractiveParser:
    """A parser of the text from a checkpoint to an offset."""
    parser = lark.parse_interactive(Reading(source, start.at, end))
    if start.states:
        parser.parser_state.state_stack = list(start.states)
        parser.parser_state.value_stack = list(start.values)
    return parser


class _Builder:
    """Lark calls the method that a rule of the grammar names, with what the rule matched."""

    source: Source

    def start(self, got: list[Any]) -> Block:
        return Block(got[0], Span(self.source, 1, 1))

    def _span(self, token: Lexeme) -> Span:
        return self.source.span(token.start_pos, len(token.value))

    # fields

    def no_fields(self, _: list[Any]) -> list[Field]:
        return []

    def more_fields(self, got: list[Any]) -> list[Field]:
        fields: list[Field] = got[0]
        if type(got[1]) is Field:
            fields.append(got[1])
        else:
            fields.extend(got[1])
        return fields

    def run_of_fields(self, got: list[Any]) -> list[Field]:
        fields: list[Field] = got[0]
        if not fields:
            return got[1].value  # type: ignore[no-any-return]
        fields += got[1].value
        return fields

    def opened_field(self, got: list[Any]) -> Field:
        name, span, brace = got[0].value
        return Field(name, Block(got[1], brace), span)

    def scalar_field(self, got: list[Any]) -> Field:
        name: Lexeme = got[0]
        return Field(name.value, got[2], self._span(name))

    colon_block_field = scalar_field

    def block_field(self, got: list[Any]) -> Field:
        name: Lexeme = got[0]
        return Field(name.value, got[1], self._span(name))

    def list_field(self, got: list[Any]) -> list[Field]:
        name, span = got[0].value, self._span(got[0])
        return [Field(name, item, span, listed=True) for item in got[-1]]

    colon_list_field = list_field

    def empty_list(self, _: list[Any]) -> list[None]:
        return [None]

    def full_list(self, got: list[Any]) -> list[Scalar | Block]:
        return got[1]  # type: ignore[no-any-return]

    def first_item(self, got: list[Any]) -> list[Scalar | Block]:
        return got

    def next_item(self, got: list[Any]) -> list[Scalar | Block]:
        got[0].append(got[2])
        return got[0]  # type: ignore[no-any-return]

    # names

    def extension_name(self, got: list[Any]) -> Lexeme:
        return Lexeme("WORD", f"[{''.join(got[1])}]", got[0].start_pos)

    def path_start(self, got: list[Any]) -> list[str]:
        return [got[0].value]

    def path_more(self, got: list[Any]) -> list[str]:
        path: list[str] = got[0]
        path += (got[1].value, got[2].value)
        return path

    # values

    def block(self, got: list[Any]) -> Block:
        return Block(got[1], self._span(got[0]))

    def word(self, got: list[Any]) -> Scalar:
        token: Lexeme = got[0]
        return Scalar("word", token.value, token.value, self._span(token))

    def number(self, got: list[Any]) -> Scalar:
        token: Lexeme = got[0]
        value = self._literal(read_number, token)
        kind: Kind = "int" if type(value) is int else "float"
        return Scalar(kind, value, token.value, self._span(token))

    def negative(self, got: list[Any]) -> Scalar:
        scalar = self.number(got[1:])
        return self._negated(got[0], scalar, -scalar.value)  # type: ignore[operator]

    def negative_word(self, got: list[Any]) -> Scalar:
        scalar = self.word(got[1:])
        if not re.fullmatch("inf|infinity|nan", scalar.raw, re.IGNORECASE):
            raise ParseError(
                Problem(
                    f'"-" before the word "{scalar.raw}"',
                    self._span(got[0]),
                    expected="a number, inf or nan after the minus",
                )
            )
        scalar.kind = "float"
        return self._negated(got[0], scalar, -float(scalar.raw))

    def _negated(self, minus: Lexeme, scalar: Scalar, value: float) -> Scalar:
        scalar.value, scalar.raw = value, "-" + scalar.raw
        place = self._span(minus)
        if scalar.span.line == place.line:
            place = place._replace(width=scalar.span.col + scalar.span.width - place.col)
        scalar.span = place
        return scalar

    def first_string(self, got: list[Any]) -> list[Scalar]:
        token: Lexeme = got[0]
        value = self._literal(unescape, token)
        return [Scalar("string", value, token.value, self._span(token))]

    def next_string(self, got: list[Any]) -> list[Scalar]:
        got[0] += self.first_string(got[1:])
        return got[0]  # type: ignore[no-any-return]

    def strings(self, got: list[Any]) -> Scalar:
        parts: list[Scalar] = got[0]
        value = b"".join(part.value for part in parts if isinstance(part.value, bytes))
        return Scalar("string", value, " ".join(part.raw for part in parts), parts[0].span)

    def _literal(self, read: Callable[[str], Any], token: Lexeme) -> Any:
        try:
            return read(token.value)
        except BadLiteral as bad:
            span = self.source.span(token.start_pos + bad.offset, bad.width)
            raise ParseError(Problem(bad.message, span, bad.expected, bad.hint)) from None
