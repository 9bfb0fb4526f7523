"""Compare two nets, two solvers or two files of parameters.

  caffelite diff old.net new.net
  caffelite diff spiral_iter_1000.caffemodel spiral_iter_3000.caffemodel
  caffelite diff a.caffemodel b.caffemodel.h5 --tolerance 1e-6 --json

Texts are compared by what they say: layers that are new, gone or moved, fields
that differ, and the shapes that change with them. Of parameters the largest
difference is shown, beside the largest value of the old file ("of") and the mean
difference. The status is 0 if both are the same and 1 if they are not.
"""

from __future__ import annotations

import argparse
import sys

GROUP = "files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite diff`."""
    from caffelite.cli.console import add_plugin_argument

    parser.add_argument("old", metavar="OLD", help="net, solver, .caffemodel or .h5")
    parser.add_argument("new", metavar="NEW", help="one of the same kind")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--tolerance",
        metavar="T",
        type=float,
        default=0.0,
        help="parameters that differ by no more are the same (default: 0)",
    )
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print; 0 if both are the same, else 1."""
    from dataclasses import asdict

    from caffelite.cli.console import load_plugins
    from caffelite.cli.help import columns
    from caffelite.errors import CaffeliteError, Problem
    from caffelite.filetypes import TEXT, type_of
    from caffelite.report.strict import to_json
    from caffelite.schema.binary import open_binary
    from caffelite.use import differences

    load_plugins(args)
    texts = []
    for path in (args.old, args.new):
        with open_binary(path) as file:
            texts.append(type_of(file.read(4096), path) is TEXT)
    if texts[0] != texts[1]:
        kinds = ["a text" if text else "no text" for text in texts]
        raise CaffeliteError(
            Problem(
                f"{args.old} is {kinds[0]}, and {args.new} is {kinds[1]}",
                expected="two texts, or two files of parameters",
            )
        )
    if all(texts):
        found = differences.text_difference(args.old, args.new)
        if args.json:
            print(to_json(found.plain(), indent=2))
        elif found:
            print(found)
        return 1 if found else 0
    parameters = differences.weight_difference(args.old, args.new)
    if args.json:
        print(to_json([asdict(p) for p in parameters], indent=2))
    else:
        width = columns() if sys.stdout.isatty() else None
        print(differences.weights_text(parameters, args.tolerance, width))
    return 0 if all(p.same(args.tolerance) for p in parameters) else 1
