"""Canonical text, and that reading it back gives the same tree."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffelite.errors import CaffeliteError, ParseError, Source
from caffelite.text import NOWHERE, Block, Field, Scalar, dump, parse, scalar_text

steady = settings(deadline=None, derandomize=True, database=None)


def read(text: str) -> Block:
    return parse(Source("f.net", text))


def test_canonical_text() -> None:
    text = (
        "name:'n' layer < top: ['a',\"b\"] p { lr: .10 on: true n: 0x10 }, e {} > k: [] [x.y]: -inf"
    )
    assert dump(read(text)) == (
        'name: "n"\n'
        "layer {\n"
        '  top: "a"\n'
        '  top: "b"\n'
        "  p {\n"
        "    lr: 0.1\n"
        "    on: true\n"
        "    n: 16\n"
        "  }\n"
        "  e {\n"
        "  }\n"
        "}\n"
        "k: []\n"
        "[x.y]: -inf\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.0, "0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1 / 3, "0.3333333333333333"),
        (1e-5, "1e-05"),
        (1e22, "1e+22"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        (np.float32(0.1), "0.1"),
        (np.float32(1.0), "1"),
        (np.float32(1 / 3), "0.33333334"),
        (np.float32(16777216), "16777216"),
        (np.float32(3.4028235e38), "3.4028235e+38"),
        (np.float64(0.1), "0.1"),
    ],
)
def test_floats_are_as_short_as_they_can_be(value: float, text: str) -> None:
    assert scalar_text("float", value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", '""'),
        ("x", '"x"'),
        (b"\n\r\t\"'\\", r'"\n\r\t\"\'\\"'),
        (b"\0\x1f\x7f1", r'"\000\037\1771"'),
        ("\u00e9 \u4f60".encode(), '"\u00e9 \u4f60"'),
        (b"\xff\xc3\xa9", r'"\377\303\251"'),
    ],
)
def test_strings_are_quoted(value: bytes | str, text: str) -> None:
    assert scalar_text("string", value) == text


def test_other_scalars() -> None:
    assert scalar_text("word", "MAX") == "MAX"
    assert scalar_text("int", np.int64(-3)) == "-3"


def test_too_deep_a_tree_is_refused() -> None:
    block = Block()
    for _ in range(101):
        block = Block([Field("a", block, NOWHERE)])
    with pytest.raises(CaffeliteError, match="more than 100 deep"):
        dump(block)
    deepest = block.fields[0].value
    assert isinstance(deepest, Block)
    assert same(read(dump(deepest)), deepest)


# What text cannot tell apart: a whole float from an integer, a float inf or nan from the word.


def essence(block: Block) -> list[tuple[str, Any]]:
    return [(f.name, _value_essence(f.value)) for f in block.fields]


def _value_essence(value: Scalar | Block | None) -> Any:
    if isinstance(value, Block):
        return essence(value)
    if value is None:
        return None
    if isinstance(value.value, float) and not math.isfinite(value.value):
        return ("word", str(value.value)) if value.value != -math.inf else ("number", -math.inf)
    return ("number" if value.kind in ("int", "float") else value.kind, value.value)


def same(one: Block, other: Block) -> bool:
    return essence(one) == essence(other)


words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
names = words | st.lists(words, min_size=1, max_size=3).map(lambda w: f"[{'.'.join(w)}]")
scalars = st.one_of(
    st.tuples(st.just("word"), words),
    st.tuples(st.just("string"), st.binary(max_size=12)),
    st.tuples(st.just("string"), st.text(max_size=12).map(str.encode)),
    st.tuples(st.just("int"), st.integers()),
    st.tuples(st.just("float"), st.floats()),
).map(lambda s: Scalar(s[0], s[1], "", NOWHERE))  # type: ignore[arg-type]


def blocks_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Block]:
    fields = st.builds(Field, names, values, st.just(NOWHERE))
    return st.builds(Block, st.lists(fields, max_size=4))


blocks = blocks_of(st.recursive(scalars | st.none(), blocks_of, max_leaves=8))


@steady
@given(blocks)
def test_parse_undoes_dump(block: Block) -> None:
    text = dump(block)
    assert same(read(text), block)
    assert dump(read(text)) == text


@steady
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_text_reads_back(value: float) -> None:
    text = scalar_text("float", np.float32(value))
    assert struct.pack("<f", float(text)) == struct.pack("<f", value)


@steady
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float64_text_reads_back(value: float) -> None:
    text = scalar_text("float", value)
    assert struct.pack("<d", float(text)) == struct.pack("<d", value)


_scraps = r"""a b: 1 - 08 1.2.3 { } < > [ ] , ; : = / // ' " "x" '\q' \ # . +
              [a.b] inf -inf {} ( "\ud800" """
scraps = st.sampled_from(
    [*_scraps.split(), "\n", "\r", " ", "\t", "\0", "\ufeff", "\u201c", "\u00a0", "a b", "a:\n b:"]
)


@steady
@given(st.lists(scraps, max_size=15).map("".join) | st.text(max_size=40))
def test_garbage_raises_nothing_but_a_located_parse_error(text: str) -> None:
    try:
        block = read(text)
    except ParseError as error:
        (problem,) = error.problems
        assert problem.span is not None
        lines = problem.span.source.text.split("\n")
        assert 1 <= problem.span.line <= len(lines)
        line = lines[problem.span.line - 1]
        assert 1 <= problem.span.col <= len(line) + 1
        assert problem.span.width >= 1
        assert problem.span.col + problem.span.width <= max(len(line), problem.span.col) + 1
        assert str(error)
    else:
        assert same(read(dump(block)), block)
