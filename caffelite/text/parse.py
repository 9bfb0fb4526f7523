"""Text in the protobuf text format → a tree of blocks, every part with its place."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from caffelite.errors import ParseError, Problem, Source, Span
from caffelite.text.literals import BadLiteral, read_number, unescape
from caffelite.text.mistakes import explain
from caffelite.text.tree import Block, Field, Kind, Scalar

MAX_DEPTH = 100

_GRAMMAR = Path(__file__).with_name("prototxt.lark")
# One parser serves everyone, and its builder holds the source of the text being parsed.
_one_at_a_time = threading.Lock()


def parse(source: Source) -> Block:
    """The tree of a whole text. Raises ParseError at the first mistake.

    Line ends may be LF, CRLF or CR, and a byte-order mark is skipped. Blocks may be nested 100
    deep, as in protobuf.
    """
    source = normalised(source)
    with _one_at_a_time:
        lark, builder = _parser()
        builder.source = source
        try:
            root: Any = lark.parse(source.text)
        except UnexpectedInput as error:
            raise ParseError(_explained(error, source, lark)) from None
    _refuse_deep_nesting(root)
    return root  # type: ignore[no-any-return]


def normalised(source: Source) -> Source:
    """The same source with LF line ends and without a byte-order mark."""
    text = source.text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.removeprefix("\ufeff")
    return source if text is source.text else Source(source.name, text)


@lru_cache(maxsize=1)
def _parser() -> tuple[Lark, _Builder]:
    builder = _Builder()
    lark = Lark(
        _GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        transformer=builder,
        keep_all_tokens=True,
    )
    return lark, builder


def _explained(error: UnexpectedInput, source: Source, lark: Lark) -> Problem:
    """Parses again up to the mistake, to know what came before it and what could have come."""
    at = error.pos_in_stream or 0
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        at = len(source.text)
    found = error.token.type if isinstance(error, UnexpectedToken) else None
    assert found or isinstance(error, UnexpectedCharacters)
    before = lark.parse_interactive(source.text[:at])
    tokens = list(before.exhaust_lexer())
    return explain(source, at, found, tokens, before.accepts())  # type: ignore[no-untyped-call]


def _refuse_deep_nesting(root: Block) -> None:
    level = [root]
    for _ in range(MAX_DEPTH + 1):
        level = [f.value for block in level for f in block.fields if isinstance(f.value, Block)]
        if not level:
            return
    raise ParseError(
        Problem(
            f"blocks are nested more than {MAX_DEPTH} deep",
            level[0].span,
            hint="is a closing } missing further up?",
        )
    )


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.line or 1, token.column or 1, len(token))


class _Builder:
    """Lark calls the method that a rule of the grammar names, with what the rule matched."""

    source: Source

    def start(self, got: list[Any]) -> Block:
        return Block(got[0], Span(self.source, 1, 1))

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

    def scalar_field(self, got: list[Any]) -> Field:
        name: Token = got[0]
        return Field(str(name), got[2], _span(self.source, name))

    colon_block_field = scalar_field

    def block_field(self, got: list[Any]) -> Field:
        name: Token = got[0]
        return Field(str(name), got[1], _span(self.source, name))

    def list_field(self, got: list[Any]) -> list[Field]:
        name, span = str(got[0]), _span(self.source, got[0])
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

    def extension_name(self, got: list[Any]) -> Token:
        return Token.new_borrow_pos("WORD", f"[{got[1]}]", got[0])

    def path_start(self, got: list[Any]) -> str:
        return str(got[0])

    def path_more(self, got: list[Any]) -> str:
        return "".join(got)

    # values

    def block(self, got: list[Any]) -> Block:
        return Block(got[1], _span(self.source, got[0]))

    def word(self, got: list[Any]) -> Scalar:
        token: Token = got[0]
        return Scalar("word", str(token), str(token), _span(self.source, token))

    def number(self, got: list[Any]) -> Scalar:
        token: Token = got[0]
        value = self._literal(read_number, token)
        kind: Kind = "int" if type(value) is int else "float"
        return Scalar(kind, value, str(token), _span(self.source, token))

    def negative(self, got: list[Any]) -> Scalar:
        scalar = self.number(got[1:])
        return self._negated(got[0], scalar, -scalar.value)  # type: ignore[operator]

    def negative_word(self, got: list[Any]) -> Scalar:
        scalar = self.word(got[1:])
        if not re.fullmatch("inf|infinity|nan", scalar.raw, re.IGNORECASE):
            raise ParseError(
                Problem(
                    f'"-" before the word "{scalar.raw}"',
                    _span(self.source, got[0]),
                    expected="a number, inf or nan after the minus",
                )
            )
        scalar.kind = "float"
        return self._negated(got[0], scalar, -float(scalar.raw))

    def _negated(self, minus: Token, scalar: Scalar, value: float) -> Scalar:
        scalar.value, scalar.raw = value, "-" + scalar.raw
        together = scalar.span.line == minus.line
        width = scalar.span.col + scalar.span.width - (minus.column or 1) if together else 1
        scalar.span = Span(self.source, minus.line or 1, minus.column or 1, width)
        return scalar

    def string(self, got: list[Any]) -> Scalar:
        token: Token = got[0]
        value = self._literal(unescape, token)
        return Scalar("string", value, str(token), _span(self.source, token))

    def joined_string(self, got: list[Any]) -> Scalar:
        first, more = got[0], self.string(got[1:])
        first.value += more.value
        first.raw += " " + more.raw
        return first  # type: ignore[no-any-return]

    def _literal(self, read: Any, token: Token) -> Any:
        try:
            return read(str(token))
        except BadLiteral as bad:
            line, col = token.line or 1, (token.column or 1) + bad.offset
            span = Span(self.source, line, col, bad.width)
            raise ParseError(Problem(bad.message, span, bad.expected, bad.hint)) from None
