"""Every taught mistake, word for word as its author will read it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from caffelite.errors import ParseError, Source
from caffelite.text import parse

_CASES = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8")
# A text, a line of dots, its report, a line of double dashes; "# ..." between two cases is a title.
MISTAKES = re.findall(r"(?:^#.*\n|^\n)*([^\0]+?)\n\.{6}\n([^\0]+?)\n={6}\n", _CASES, re.MULTILINE)


def report_on(text: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse(Source("f.net", text))
    return str(caught.value)


def test_the_cases_are_all_there() -> None:
    assert len(MISTAKES) == _CASES.count("\n......\n") > 60


@pytest.mark.parametrize(("text", "report"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_is_explained(text: str, report: str) -> None:
    assert report_on(text) == report
    assert max(map(len, report.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        ("\u00a0a: 1", "1:1", "U+00A0, NO-BREAK SPACE"),
        ("a: 1\u200b", "1:5", "U+200B, ZERO WIDTH SPACE"),
        ("a: 1\n\tb: \x00", "2:5", "U+0000, a control character"),
    ],
)
def test_an_invisible_character_is_named(text: str, place: str, name: str) -> None:
    assert report_on(text).startswith(f"f.net:{place}: invisible character {name}\n")


def test_a_tab_counts_as_one_column_and_is_shown_as_a_blank() -> None:
    assert report_on("\ta 1").splitlines()[:3] == [
        'f.net:1:4: the field "a" has no ":" before its value',
        "    1 |  a 1",
        "      |    ^",
    ]


def test_columns_are_right_with_crlf_and_a_byte_order_mark() -> None:
    assert report_on("\ufeffa 1\r\n").startswith("f.net:1:3: ")
    assert report_on("a: 1\r\n  b 1\r\n").startswith("f.net:2:5: ")
    assert report_on("a: 1\r  b 1\r").startswith("f.net:2:5: ")


def test_a_long_line_is_cut_around_the_mistake() -> None:
    report = report_on(f'{"x" * 200} = "{"y" * 200}"')
    assert max(map(len, report.splitlines())) <= 80
    line, caret = report.splitlines()[1:3]
    assert line[caret.index("^")] == "="


def test_a_number_of_absurd_length_is_refused() -> None:
    assert "a number of 5000 digits" in report_on("a: " + "1" * 5000)
    assert max(map(len, report_on("a: 08" + "1" * 5000).splitlines())) <= 80
