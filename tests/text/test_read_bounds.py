"""Which files are read as texts, and how much of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from caffelite import reading
from caffelite.errors import ParseError
from caffelite.text import read_source


def test_a_long_text_is_refused_and_may_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.net"
    path.write_text("#" * (reading.LIMITS["definition"] + 5))
    with pytest.raises(ParseError, match=r"2,097,157 bytes\n  expected at most 2,097,152"):
        read_source(path)
    monkeypatch.setenv("CAFFELITE_LIMITS", "definition=3e6")
    assert len(read_source(path).text) == 2_097_157


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipes_and_devices_are_refused_but_for_those_that_the_shell_gives(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ParseError, match="is a pipe"):
        read_source(tmp_path / "pipe")
    with pytest.raises(ParseError, match="is a device"):
        read_source("/dev/zero")
    ours, theirs = os.pipe()
    os.write(theirs, b'name: "x"')
    os.close(theirs)
    assert read_source(f"/dev/fd/{ours}").text == 'name: "x"'
    os.close(ours)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/" * 3000])
def test_strange_paths_are_refused(name: str) -> None:
    with pytest.raises(ParseError):
        read_source(name)


def test_the_excerpt_of_a_long_line_is_short() -> None:
    from caffelite.errors import Source, Span

    line = "x" * 10_000_000 + "\x1b[31m" + "y" * 10_000_000
    excerpt = Span(Source("f", line), 1, 10_000_001, 5).excerpt()
    assert len(excerpt) < 200 and "\x1b" not in excerpt and "y" in excerpt
