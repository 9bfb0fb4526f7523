"""The text format, feature by feature: what each way of writing means."""

from __future__ import annotations

import math
from typing import Any

import pytest

from caffelite.errors import ParseError, Source
from caffelite.text import Block, parse


def read(text: str) -> Block:
    return parse(Source("f.net", text))


def plain(block: Block) -> list[tuple[str, Any]]:
    """A block as pairs of name and value; a block in it as such a list again."""
    return [(f.name, _plain_value(f.value)) for f in block.fields]


def _plain_value(value: Any) -> Any:
    if value is None:
        return None
    return plain(value) if isinstance(value, Block) else value.value


def scalar(text: str) -> Any:
    (field,) = read(f"a: {text}").fields
    return field.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n\f\v\n# only a comment", []),
        ("a: 1", [("a", 1)]),
        ("a: 1 b: 2", [("a", 1), ("b", 2)]),
        ("a: 1, b: 2; c: 3,", [("a", 1), ("b", 2), ("c", 3)]),
        ("a: x b: y", [("a", "x"), ("b", "y")]),
        ("a { b: 1 }", [("a", [("b", 1)])]),
        ("a: { b: 1 }", [("a", [("b", 1)])]),
        ("a < b: 1 >", [("a", [("b", 1)])]),
        ("a: < b: 1 >", [("a", [("b", 1)])]),
        ("a {} a{}, a<>;", [("a", []), ("a", []), ("a", [])]),
        ("a { b < c { d: 1 } > }", [("a", [("b", [("c", [("d", 1)])])])]),
        ("a: [1, 2]", [("a", 1), ("a", 2)]),
        ("a: [x, 'y', -1.5]", [("a", "x"), ("a", b"y"), ("a", -1.5)]),
        ("a: [{b: 1}, <>]", [("a", [("b", 1)]), ("a", [])]),
        ("a [{b: 1}, {c: 2}]", [("a", [("b", 1)]), ("a", [("c", 2)])]),
        ("a: [] b []", [("a", None), ("b", None)]),
        ("a: 1 # one\n# two\nb: 2#", [("a", 1), ("b", 2)]),
        ("a # why\n: # not\n1", [("a", 1)]),
        ("[my.ext]: 1", [("[my.ext]", 1)]),
        ("a: 1 [my.ext] { b: 2 }", [("a", 1), ("[my.ext]", [("b", 2)])]),
        ("[ my . # dots\n ext ]: 1", [("[my.ext]", 1)]),
        ("[type.googleapis.com/x.y] { a: 1 }", [("[type.googleapis.com/x.y]", [("a", 1)])]),
        ("[my-site.org/x.y] <>", [("[my-site.org/x.y]", [])]),
        ("[x]: [1, 2]", [("[x]", 1), ("[x]", 2)]),
        ("inf: 1 nan: 2 true { t: 4 }", [("inf", 1), ("nan", 2), ("true", [("t", 4)])]),
        ("\ufeffa: 1\r\nb: 2\rc: 3", [("a", 1), ("b", 2), ("c", 3)]),
    ],
)
def test_fields(text: str, expected: list[tuple[str, Any]]) -> None:
    assert plain(read(text)) == expected


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("0", "int", 0),
        ("20", "int", 20),
        ("-3", "int", -3),
        ("-   3", "int", -3),
        ("- # minus\n 3", "int", -3),
        ("0x1F", "int", 31),
        ("0XfF", "int", 255),
        ("-0x10", "int", -16),
        ("017", "int", 15),
        ("00", "int", 0),
        ("18446744073709551616", "int", 2**64),
        ("1.5", "float", 1.5),
        (".5", "float", 0.5),
        ("5.", "float", 5.0),
        ("-.5", "float", -0.5),
        ("1e-4", "float", 1e-4),
        ("1E+4", "float", 1e4),
        ("0e0", "float", 0.0),
        (".5e1", "float", 5.0),
        ("2f", "float", 2.0),
        ("0.25F", "float", 0.25),
        ("1e3f", "float", 1000.0),
        ("0f", "float", 0.0),
        ("1e999", "float", math.inf),
        ("-inf", "float", -math.inf),
        ("- Infinity", "float", -math.inf),
        ("inf", "word", "inf"),
        ("nan", "word", "nan"),
        ("infinity", "word", "infinity"),
        ("true", "word", "true"),
        ("True", "word", "True"),
        ("t", "word", "t"),
        ("false", "word", "false"),
        ("f", "word", "f"),
        ("MAX_2", "word", "MAX_2"),
        ("'x'", "string", b"x"),
    ],
)
def test_scalars(text: str, kind: str, value: object) -> None:
    found = scalar(text)
    assert (found.kind, found.value) == (kind, value)
    assert type(found.value) is type(value)


def test_minus_nan_is_a_float() -> None:
    assert math.isnan(scalar("-nan").value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('""', b""),
        ('"it\'s"', b"it's"),
        ("'say \"hi\"'", b'say "hi"'),
        ('"#{}[]<>,;:"', b"#{}[]<>,;:"),
        (r'"\n\r\t\a\b\f\v\"' + r"\'\\\?" + '"', b"\n\r\t\a\b\f\v\"'\\?"),
        (r'"\0\12\1234\377"', b"\0\nS4\xff"),
        (r'"\x41\x4\xFFg"', b"A\x04\xffg"),
        (r'"\u00e9\U0001F600"', "\u00e9\U0001f600".encode()),
        (r'"\ud83d\ude00"', "\U0001f600".encode()),
        ('"gr\u00fc\u00df \u4f60\u597d"', "gr\u00fc\u00df \u4f60\u597d".encode()),
        ('"a" \'b\'\n# between\n"c"', b"abc"),
        ('"tab\there"', b"tab\there"),
        ('"\\\\"', b"\\"),
    ],
)
def test_strings(text: str, value: bytes) -> None:
    assert scalar(text).value == value


def test_list_items_remember_their_list() -> None:
    assert [f.listed for f in read("a: [1, 2] a: 3 b [{}] c: []").fields] == [
        True,
        True,
        False,
        True,
        True,
    ]


def test_a_string_list_joins_neighbours_only() -> None:
    assert plain(read("a: ['x' 'y', 'z']")) == [("a", b"xy"), ("a", b"z")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_part_knows_its_place(end: str, mark: str) -> None:
    text = mark + end.join(["# a net", "layer {", "\tlr: - 0.5", "", '  [x.y]: "abc"', "}"])
    layer = read(text).fields[0]
    assert isinstance(layer.value, Block)
    lr, ext = layer.value.fields
    spans = [layer.span, layer.value.span, lr.span, lr.value.span, ext.span, ext.value.span]  # type: ignore[union-attr]
    places = [(s.line, s.col, s.width) for s in spans if s]
    assert places == [(2, 1, 5), (2, 7, 1), (3, 2, 2), (3, 6, 5), (5, 3, 5), (5, 10, 5)]


def test_raw_is_the_text_as_written() -> None:
    fields = read("a: 0x1F b: 1e-3f c: 'x' \"y\" d: True e: - 5").fields
    assert [f.value.raw for f in fields] == ["0x1F", "1e-3f", "'x' \"y\"", "True", "-5"]  # type: ignore[union-attr]


def test_a_hundred_levels_are_read_and_one_more_is_refused() -> None:
    def nested(depth: int) -> str:
        return "a {" * depth + "}" * depth

    assert read(nested(100)).fields
    with pytest.raises(ParseError, match=r"f\.net:1:303: blocks are nested more than 100 deep"):
        read(nested(101))
    for depth in (1_000, 20_000):
        with pytest.raises(ParseError, match="more than 100 deep"):
            read(nested(depth))
    with pytest.raises(ParseError, match="never closed"):
        read("a {" * 20_000)


def test_one_bad_text_leaves_the_parser_fit_for_the_next() -> None:
    with pytest.raises(ParseError):
        read("a: {")
    assert plain(read("a: 1")) == [("a", 1)]
