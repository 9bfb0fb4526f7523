"""What is read without the grammar is read as the grammar reads it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import caffelite
from caffelite.errors import ParseError, Source
from caffelite.text import Block, parse
from caffelite.text.grammar import parse_by_grammar
from caffelite.text.quick import read_quickly

ROOT = Path(caffelite.__file__).parents[1]
FILES = sorted([*ROOT.glob("nets/*.net"), *ROOT.glob("solvers/*.solver")])


def plain(block: Block) -> Any:
    """A tree with the places as numbers: sources are compared by what they are, not by text."""
    tree: Any = asdict(block, dict_factory=lambda items: [(k, _place(v)) for k, v in items])
    return tree


def _place(value: Any) -> Any:
    return tuple(value)[1:] if type(value).__name__ == "Span" else value


def same(text: str) -> bool:
    """Was the text read quickly? If so, the grammar must give the same tree."""
    source = Source("t", text)
    quick = read_quickly(source)
    try:
        slow: Block | None = parse_by_grammar(source)
    except ParseError:
        slow = None
    if quick is not None:
        assert slow is not None, "it has a mistake"
        assert plain(quick) == plain(slow)
    return quick is not None


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_our_nets_and_solvers(path: Path) -> None:
    assert same(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "\n\n  a: 1",
        "a: 1 b: -2.5e3, c: .5f; d: WORD\ne: 'x' f: \"y\"",
        'a: "x" "y"\n  \'z\' b: 1',
        "a { b: 1 c { } } d: 2",
        "a: { b: 1 }, c { };",
        "a: [1, 2.5, x, 'y'] b: 3",
        "a:\n\n 1 # why\n # more\n b # not yet\n { c: 1 }",
        "a {\n  b: 1 }} c: 2",
        'a: "\\x41\\n"',
        "layer{name:'a'}layer{name:'b'}",
    ],
)
def test_small_texts(text: str) -> None:
    same(text)


@pytest.mark.parametrize(
    "text",
    ["a: 0x1F", "a < b: 1 >", "[my.ext]: 1", "a: - 1", "a: []", "a: [{b: 1}]", "a: -inf", "a: 017"],
)
def test_what_is_rare_is_left_to_the_grammar(text: str) -> None:
    assert not same(text) and parse(Source("t", text)).fields


@pytest.mark.parametrize(
    "text",
    ["a", "a: 1 }", "a { b: 1", "a: 1,, b: 2", ", a: 1", "a: 1 2", 'a: "\\q"', "a: b.c", "a {,}"],
)
def test_mistakes_are_left_to_the_grammar(text: str) -> None:
    assert not same(text)
    with pytest.raises(ParseError):
        parse(Source("t", text))


PIECES = [
    "a",
    "b1",
    ":",
    " ",
    "\n",
    "1",
    "-2",
    "0.5",
    "x",
    '"s"',
    "'t'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ";",
]
PIECES += ["#c\n", "<", ">", "0x1", ".", "a: 1\n", "a {\n", "}\n", "b: [1, 2]\n", 'c: "x"\n', "\\"]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text(text: str) -> None:
    same(text)


def test_a_deep_one_is_refused_as_ever() -> None:
    with pytest.raises(ParseError, match="nested more than 100 deep"):
        parse(Source("t", "a { " * 101 + "}" * 101))
    assert parse(Source("t", "a { " * 100 + "}" * 100)).fields
    assert read_quickly(Source("t", "a {\n" * 50_000 + "}\n" * 50_000)) is not None


def test_a_net_that_is_in_order_does_without_the_parser() -> None:
    code = """
import sys
from caffelite.files import load_net
load_net("nets/lenet.net")
print("lark" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "False\n"
