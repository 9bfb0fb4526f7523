"""Show what is in a binary file, as text or JSON.

  caffelite cat spiral_iter_3000.caffemodel
  caffelite cat spiral_iter_3000.solverstate --json
  caffelite cat mean.binaryproto --values
  caffelite cat weights.caffemodel.h5

Nets with their learned parameters (.caffemodel), solvers' states, blobs
(.binaryproto), and HDF5 files of any kind. Of an array its shape, range, mean and
deviation are shown, with --values all of its numbers.
"""

from __future__ import annotations

import argparse

GROUP = "files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite cat`."""
    parser.add_argument("file", metavar="FILE", help="binary file")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--values", action="store_true", help="all numbers of all arrays")


def run(args: argparse.Namespace) -> int:
    """Show; 0."""
    from caffelite import layers  # their messages are parts of nets
    from caffelite.report import contents
    from caffelite.report.strict import to_json

    assert layers.registry
    found = contents.read_contents(args.file)
    if args.json:
        print(to_json(contents.plain(found, args.values), indent=2))
    else:
        print(contents.text(found, args.values))
    return 0
