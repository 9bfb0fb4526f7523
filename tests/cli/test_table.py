"""Broken and doubtful nets, solvers, data, weights, command lines and plug-ins: what is said of
each, word for word, and the exit status.

The cases are in table/*.txt. A case is some files, a command, its exit status and what it says on
stderr (on stdout, where that is empty):

    @ f.net
    layer { ... }
    $ check f.net
    > 1
    f.net:1:1: ...
    ======

spiral.net is there too. FOLDER stands for the folder of the case, `...` at a line's end for the
rest of it. `python -m tests.cli.test_table` writes what is said now into the tables."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.layers import registry

HERE = Path(__file__).parent
NETS = HERE.parents[1] / "nets"
TABLES = sorted((HERE / "table").glob("*.txt"))


@dataclass(frozen=True)
class Row:
    """One case."""

    table: str
    title: str
    files: tuple[tuple[str, str], ...]
    command: str
    status: int
    said: str

    def __str__(self) -> str:
        files = "".join(f"@ {name}\n{text}\n" for name, text in self.files)
        return f"{files}$ {self.command}\n> {self.status}\n{self.said}\n======\n"


_ROW = re.compile(
    r"(?P<head>(?:##[^\n]*\n|#[^\n]*\n|\n)*)"
    r"(?P<files>(?:@ [^\n]*\n(?:(?![$@] )[^\n]*\n)*)*)"
    r"\$ (?P<command>[^\n]*)\n(?:> (?P<status>\d+)\n(?P<said>[^\0]*?)\n)?={6}\n"
)


def read(path: Path) -> Iterator[tuple[str, Row]]:
    """The text in front of each case, and the case."""
    text = path.read_text(encoding="utf-8")
    at, title = 0, ""
    while at < len(text):
        match = _ROW.match(text, at)
        assert match, f"{path.name}: {text[at : at + 200]!r}"
        at = match.end()
        titles = re.findall(r"^## (.*)", match["head"], re.MULTILINE)
        title = titles[-1] if titles else title
        files = tuple(re.findall(r"@ ([^\n]*)\n((?:(?!@ )[^\n]*\n)*)", match["files"]))
        files = tuple((name, body[:-1]) for name, body in files)
        status, said = int(match["status"] or 0), match["said"] or ""
        yield match["head"], Row(path.stem, title, files, match["command"], status, said)


def run(row: Row, folder: Path) -> int:
    """Run a case in an empty folder; its exit status."""
    shutil.copy(NETS / "spiral.net", folder)
    for name, text in row.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((text + "\n").encode() if text else b"")
    return main(shlex.split(row.command))


def heard(row: Row, out: str, err: str, folder: Path) -> str:
    """What the case says, without what differs from machine to machine."""
    said = (err.rstrip("\n") or out.rstrip("\n")).replace(str(folder), "FOLDER")
    return said.replace(os.sep, "/")


ROWS = [row for path in TABLES for _, row in read(path)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    known, modules = dict(registry), set(sys.modules)
    yield tmp_path
    registry.clear()
    registry.update(known)
    for name in set(sys.modules) - modules:
        if name.startswith("plug"):
            del sys.modules[name]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.table}: {row.said[:60]}")
def test_what_is_said(row: Row, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(row, folder)
    captured = capsys.readouterr()
    said = heard(row, captured.out, captured.err, folder)
    expected = "\n".join(map(_pattern, row.said.split("\n")))
    assert re.fullmatch(expected, said), f"{row.said}\n--- but it says\n{said}"
    assert status == row.status
    assert "Traceback" not in captured.err and said.strip()


def _pattern(line: str) -> str:
    return re.escape(line[:-3]) + ".*" if line.endswith("...") else re.escape(line)


def test_there_are_enough() -> None:
    mistakes = (HERE / "mistakes.txt").read_text(encoding="utf-8").count("\n......\n")
    assert len(ROWS) + mistakes >= 150


def write() -> None:
    """Write what each case says now into its table."""
    import contextlib
    import io
    import tempfile

    os.environ["COLUMNS"] = "80"
    for path in TABLES:
        parts = []
        for head, row in read(path):
            known = dict(registry)
            with tempfile.TemporaryDirectory() as name:
                os.chdir(name)
                folder = Path(name).resolve()
                out, err = io.StringIO(), io.StringIO()
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    status = run(row, folder)
            registry.clear()
            registry.update(known)
            said = heard(row, out.getvalue(), err.getvalue(), folder)
            new = Row(row.table, row.title, row.files, row.command, status, said)
            parts.append(head + (str(row) if _same(row, new) else str(new)))
        path.write_text("".join(parts), encoding="utf-8")


def _same(row: Row, new: Row) -> bool:
    expected = "\n".join(map(_pattern, row.said.split("\n")))
    return row.status == new.status and bool(re.fullmatch(expected, new.said))


if __name__ == "__main__":
    write()
