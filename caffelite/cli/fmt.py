"""Bring net and solver files into canonical form.

  caffelite fmt spiral.net
  caffelite fmt --write *.net *.solver
  caffelite fmt --check nets/*.net
  cat spiral.net | caffelite fmt -

One field a line, two blanks for each block; what stood on one line and fits
stays on one. Comments are kept, and single empty lines. The meaning is compared
before anything is written. Without an option the text is printed.
"""

from __future__ import annotations

import argparse
import sys

GROUP = "files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite fmt`."""
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="text definitions, - for the input"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="replace files that are not canonical")
    what.add_argument(
        "--check", action="store_true", help="name files that are not; status 1 if there are any"
    )


def run(args: argparse.Namespace) -> int:
    """Format; 0, or with --check 1 if a file is not canonical."""
    from caffelite.errors import CaffeliteError, Problem, Source
    from caffelite.schema.binary import write_atomically
    from caffelite.text import read_source
    from caffelite.text.formatting import format_text

    if args.write and "-" in args.files:
        raise CaffeliteError(Problem("--write needs files", hint="`caffelite fmt -` prints"))
    problems: list[Problem] = []
    others = 0
    for name in args.files:
        try:
            if name == "-":
                source = Source("<input>", sys.stdin.read())
            else:
                source = read_source(name, keeps_comments=True)
            text = format_text(source)
        except CaffeliteError as error:
            problems += error.problems
            continue
        same = text == (source.text if name == "-" else _as_it_is(name))
        others += not same
        if args.check and not same:
            print(f"{name}: not in canonical form")
        elif args.write and not same:
            write_atomically(name, text.encode("utf-8"))
            print(f"{name}: rewritten")
        elif not args.check and not args.write:
            print(text, end="")
    if problems:
        raise CaffeliteError(*problems)
    return 1 if args.check and others else 0


def _as_it_is(path: str) -> str:
    """The file with the line ends that it has."""
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()
