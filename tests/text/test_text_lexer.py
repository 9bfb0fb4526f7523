"""Large tokens and small ones: two ways to read a text, with one meaning."""

from __future__ import annotations

import random
from typing import Any

import pytest

from caffelite.errors import Source
from caffelite.text import Block, lexer, parse
from caffelite.text.grammar import _parser
from caffelite.text.lexer import Reading

from .test_text_mistakes import MISTAKES, report_on


def kinds(text: str) -> list[str]:
    """The tokens that the parser is given in its first try."""
    lark, builder = _parser()
    builder.source = Source("f.net", text)
    return [token.type for token in lark.parse_interactive(Reading(builder.source)).iter_parse()]


def in_small_tokens(text: str) -> Block:
    lark, builder = _parser()
    builder.source = Source("f.net", text)
    root: Any = lark.parse(Reading(builder.source, 0, len(text)))
    return root  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a: "x" b: 1, c: .5; d: MAX', "FIELDS"),
        ("a:\t'x'# why\n,#\nb:\n1", "FIELDS"),
        ('a { b: { c: 1 } } d: "x"', "OPEN OPEN FIELDS RBRACE RBRACE FIELDS"),
        ("a: [1, -2.5, x, # why\n 'y'], b: 1", "FIELDS"),
        ("a: 'x' #\n \"y\", b: 1", "FIELDS"),
        ("a: 1 b: 017", "FIELDS WORD COLON NUMBER"),
        ("a: [1, 017]", "WORD COLON LSQUARE NUMBER COMMA NUMBER RSQUARE"),
        ("a: []", "WORD COLON LSQUARE RSQUARE"),
        ("a < b: - 1 >", "WORD LANGLE WORD COLON MINUS NUMBER RANGLE"),
        ("[a.b]: 1", "LSQUARE WORD DOT WORD RSQUARE COLON NUMBER"),
        ("a: 12345678901234567890", "WORD COLON NUMBER"),
    ],
)
def test_what_is_common_comes_in_large_tokens(text: str, expected: str) -> None:
    assert kinds(text) == expected.split()
    assert parse(Source("f.net", text)) == in_small_tokens(text)


SCALARS = (
    *("1", "-1", "- 2", "0", "-0", "017", "0x1f", "1.5", ".5", "5.", "1e4", "-1E-3f", "2f", "inf"),
    *("-inf", "- nan", "true", "MAX", '"a"', "'b'", '"a" # "\n "c"', r'"\n\x41"', '"é"', '""'),
    *("9" * 18, "9" * 19, "0." + "3" * 30, "0." + "3" * 31, "-.0"),
)


class Author:
    """Writes texts in all ways that the format has."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def gap(self) -> str:
        return self.chance.choice(["", "", " ", "\n", "\t ", " # c\n", "\n\n", '#"x{\n'])

    def joined(self, *parts: str) -> str:
        return "".join(part + self.gap() for part in parts)

    def scalar(self) -> str:
        return self.chance.choice(SCALARS)

    def name(self) -> str:
        return self.chance.choice(["a", "layer", "_x1", "inf", "[a.b]", "[ a . b/c ]", "[x-y.z/q]"])

    def block(self) -> str:
        opening, closing = self.chance.choice(["{}", "{}", "<>"])
        return self.joined(opening, self.fields(2), closing)

    def field(self) -> str:
        name, colon = self.name(), self.chance.choice(["", ":"])
        way = self.chance.random()
        if way < 0.5:
            return self.joined(name, ":", self.scalar())
        if way < 0.75:
            return self.joined(name, colon, self.block())
        if way < 0.9:
            items = [self.scalar() for _ in range(self.chance.randint(1, 4))]
            return self.joined(name, ":", "[", ",".join(map(self.joined, items)), "]")
        blocks = [self.block() for _ in range(self.chance.randint(0, 2))]
        return self.joined(name, colon, "[", ",".join(blocks), "]")

    def fields(self, most: int) -> str:
        ends = [" ", "\n", ", ", "; "]
        written = [self.field() for _ in range(self.chance.randint(0, most))]
        return "".join(one + self.chance.choice(ends) for one in written)


@pytest.mark.parametrize("seed", range(300))
def test_all_ways_to_write_mean_the_same_in_small_tokens(seed: int) -> None:
    text = Author(seed).fields(6)
    assert repr(parse(Source("f.net", text))) == repr(in_small_tokens(text))


@pytest.mark.parametrize("between", [1, 2])
def test_a_mistake_is_explained_from_the_last_checkpoints(
    between: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few statements before the mistake are enough, and what is behind the last one counts."""
    monkeypatch.setattr(lexer, "BETWEEN_CHECKPOINTS", between)
    for text, report in MISTAKES:
        assert report_on(text) == report


def test_a_mistake_behind_many_statements_has_its_place() -> None:
    many = "a: 1\n" * (2 * lexer.BETWEEN_CHECKPOINTS + 1)
    line = many.count("\n") + 1
    assert report_on(f"b {{ {many} c: x y }}").startswith(
        f'f.net:{line}:7: "y" after the value "x"'
    )
    assert report_on(f"b {{ {many}").startswith('f.net:1:3: the "{" of "b" is never closed')
    assert report_on(f"{many}c: [{'1, ' * 3000}]").startswith(f'f.net:{line}:9003: "," before')
