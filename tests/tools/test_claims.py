"""The README's claims: stale ones are found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import claims

README = claims.README.read_text(encoding="utf-8")


def test_commands_and_extras_are_those_that_there_are() -> None:
    assert [*claims.unnamed_commands(README), *claims.unknown_extras(README)] == []


def test_the_lines_are_counted() -> None:
    assert 10_000 < claims.lines_of_code() < 200_000


@pytest.mark.parametrize(
    "stale, said",
    [
        (README.replace("The 603 parameters", "The 604 parameters"), "there are 603"),
        (re.sub(r"[\d,]+ lines of Python", "1,000 lines of Python", README), "1,000 lines"),
        (README.replace("lines of Python, tests", "rows of Python, tests"), "does not say"),
        (README.replace("caffelite check", "caffelite chek"), "chek"),
        (README + '\npip install ".[gpu]"\n', "the extra gpu"),
        (README + "\n`nets/lenet6.net`\n", "nets/lenet6.net, which is not there"),
    ],
)
def test_a_stale_claim_is_found(stale: str, said: str) -> None:
    assert stale != README
    assert any(said in mistake for mistake in claims.mistakes(stale))


def test_counts_are_mended() -> None:
    (lines, _core, parameters) = claims.COUNTS
    stale = README.replace("The 603 parameters", "The 7 parameters")
    assert parameters.fixed(stale) == README
    assert lines.compare(lines.fixed(README)) is None


def test_a_file_that_is_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LONGEST", 300)
    found = [m for m in claims.mistakes(README) if "more than 300 lines" in m]
    assert f"{Path('caffelite') / 'layers' / 'base.py'} has more than 300 lines" in found
