"""Canonical form: the same meaning, every comment, its own canonical form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffelite.cli import main
from caffelite.errors import ParseError, Source
from caffelite.text import parse
from caffelite.text.dump import dump
from caffelite.text.formatting import format_text

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "nets").glob("*.net"), *(ROOT / "solvers").glob("*.solver")])

UGLY = """\
# a net
name:'ugly'   ;
# about the layer


layer <   # opens
  name : "ip", type: 'Inner\\'Product'
  bottom:"x"  # read
  top: "y" # written
  inner_product_param { num_output:3 weight_filler{type:"xavier"} }
  dim: [ 1,2 , 0x1F ]
  param [ { lr_mult:1 }, {lr_mult: 2.0f} ]  # two
  long: "a"   # first
        'b'
  scale:- 1
  empty { }
  # the end
>
"""
PRETTY = """\
# a net
name: "ugly"
# about the layer

layer {  # opens
  name: "ip"
  type: "Inner\\'Product"
  bottom: "x"  # read
  top: "y"     # written
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } }
  dim: [1, 2, 0x1F]
  param { lr_mult: 1 }
  param { lr_mult: 2.0f }  # two
  long: "a" "b"            # first
  scale: -1
  empty { }
  # the end
}
"""


def test_what_becomes_of_a_text() -> None:
    assert format_text(Source("x", UGLY)) == PRETTY
    assert format_text(Source("x", PRETTY)) == PRETTY


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_our_own_files_keep_their_meaning_and_comments(path: Path) -> None:
    text = path.read_text()
    done = format_text(Source(path.name, text))
    assert dump(parse(Source("x", done))) == dump(parse(Source("x", text)))
    assert re.findall(r"#.*", done) == re.findall(r"#.*", text)
    assert format_text(Source(path.name, done)) == done
    assert max(map(len, done.splitlines())) <= 100


WORDS = st.sampled_from(["a", "b_1", "MAX", "inf"])
SCALARS = st.sampled_from(["1", "-2", "- 3", "1.5e-3", "0x1F", '"s"', "'q\"q'", '"a" "b"', "true"])
SPACE = st.sampled_from([" ", "\n", "\n\n\n", "  # note\n", " # note # more\n\n", "\t"])
SEPARATOR = st.sampled_from(["", ",", ";"])


def fields(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    scalar = st.builds("{}{}:{}{}{}{}".format, WORDS, SPACE, SPACE, SCALARS, SPACE, SEPARATOR)
    block = st.builds("{}{}{{{}{}}}{}".format, WORDS, SPACE, SPACE, inner, SPACE)
    items = st.lists(SCALARS, max_size=3).map(", ".join)
    listed = st.builds("{}:{}[{}{}{}]{}".format, WORDS, SPACE, SPACE, items, SPACE, SPACE)
    return st.lists(st.one_of(scalar, block, listed), max_size=4).map("\n".join)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.recursive(st.just(""), fields, max_leaves=6), SPACE)
def test_any_text_keeps_its_meaning_and_comments(text: str, end: str) -> None:
    text += end
    done = format_text(Source("x", text))
    assert done.count("# note") == text.count("# note")
    assert format_text(Source("x", done)) == done


def test_a_mistake_is_told() -> None:
    with pytest.raises(ParseError):
        format_text(Source("x", "layer {"))


class TestCommand:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("ugly.net").write_text(UGLY)
        Path("pretty.net").write_text(PRETTY)

    def test_print_check_write(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fmt", "ugly.net"]) == 0
        assert capsys.readouterr().out == PRETTY
        assert Path("ugly.net").read_text() == UGLY
        assert main(["fmt", "--check", "pretty.net", "ugly.net"]) == 1
        assert capsys.readouterr().out == "ugly.net: not in canonical form\n"
        assert main(["fmt", "--write", "pretty.net", "ugly.net"]) == 0
        assert capsys.readouterr().out == "ugly.net: rewritten\n"
        assert Path("ugly.net").read_text() == PRETTY
        assert main(["fmt", "--check", "pretty.net", "ugly.net"]) == 0

    def test_line_ends_count(self) -> None:
        Path("dos.net").write_bytes(PRETTY.replace("\n", "\r\n").encode())
        assert main(["fmt", "--check", "dos.net"]) == 1
        assert main(["fmt", "--write", "dos.net"]) == 0
        assert Path("dos.net").read_bytes() == PRETTY.encode()

    def test_a_broken_file_is_left_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("broken.net").write_text("layer {")
        assert main(["fmt", "--write", "broken.net", "ugly.net"]) == 1
        assert Path("broken.net").read_text() == "layer {"
        assert Path("ugly.net").read_text() == PRETTY
        assert capsys.readouterr().err.startswith("broken.net:1:")
        assert main(["fmt", "--write", "-"]) == 1
