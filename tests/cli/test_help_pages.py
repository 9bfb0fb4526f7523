"""The help pages, word by word: what is printed is what is stored.

Where a page has changed on purpose, write them anew and look at the difference:

    python -m tests.cli.test_help_pages
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.cli.registry import commands

PAGES = Path(__file__).parent / "help"
NAMES = ["caffelite", *commands()]
ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    """What `caffelite NAME --help` prints on a terminal of 80 columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(["--help"] if name == "caffelite" else [name, "--help"]) == 0
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return usage_in_one_line(out.getvalue())


def usage_in_one_line(text: str) -> str:
    """Python's versions break the line of usage, and name an option's value, in their own ways."""
    text = re.sub(
        r"\nusage:.*?\n\n", lambda m: "\n" + " ".join(m[0].split()) + "\n\n", text, flags=re.S
    )
    text = re.sub(r"^  (-\w) (\S+), (--[\w-]+) \2\n +", r"  \1, \3 \2  ", text, flags=re.M)
    return re.sub(r"^  (-\w) (\S+), (--[\w-]+) \2", r"  \1, \3 \2", text, flags=re.M)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_the_stored_one(name: str) -> None:
    stored = PAGES / f"{name}.txt"
    anew = "if this is meant: python -m tests.cli.test_help_pages"
    assert stored.exists(), anew
    assert page(name) == stored.read_text("utf-8"), anew


def test_no_page_is_left_over() -> None:
    assert {path.stem for path in PAGES.glob("*.txt")} == set(NAMES)


HEAVY = ("numpy", "lark", "rich", "matplotlib", "google", "torch", "h5py", "lmdb", "PIL")


def test_pages_need_nothing_heavy_and_little_time() -> None:
    """In a process of its own, since tests import everything."""
    code = (
        "import contextlib, io, os, sys; from caffelite.cli import main\n"
        f"for name in {list(commands())!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()): main([name, '--help'])\n"
        f"    found = [m for m in sys.modules if m in {HEAVY!r}]\n"
        "    if found: print(name, found); break\n"
        "print(sum(os.times()[:2]), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert float(done.stderr) < 1, "all pages together"


def write() -> None:
    """Store all pages as they are now."""
    PAGES.mkdir(exist_ok=True)
    for old in PAGES.glob("*.txt"):
        old.unlink()
    for name in NAMES:
        (PAGES / f"{name}.txt").write_text(page(name), "utf-8")


if __name__ == "__main__":
    write()
