"""Find every mistake in net and solver files: syntax, names and types, wiring, shapes, in all
phases and stages at once; and warn of what is legal, and hardly meant. Nothing is run.

  caffelite check nets/spiral.net solvers/spiral.solver
  caffelite check lenet.net --no-data
  caffelite check lenet.solver --strict --allow no-scale,test-size
  caffelite check lenet.net --json

Data that is not here is no mistake: what depends on its shape is then left open. --no-data looks
for none.

A warning has a name in brackets. --allow NAME leaves it out, and so does a comment in the file,
"# allow: NAME", beside or above its line or its layer, or above the first field for the whole
file. --strict counts warnings and missing data as mistakes. --names lists all warnings.

--json prints one object, for editors: {"ok": true, "files": [{"file", "says", "mistakes",
"warnings", "absent"}]}. A mistake is {"file", "line", "column", "width", "message", "expected",
"hint"}, null where there is none; lines and columns count from 1. A warning has "name", "reason"
and "remedy" in place of the last two.

The exit status is 1 if there is a mistake, else 0.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import add_plugin_argument
from caffelite.cli.warnings import add_allow_argument

GROUP = "look"
ORDER = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite check`."""
    parser.add_argument("files", metavar="FILE", nargs="*", help="net or solver files")
    parser.add_argument("--strict", action="store_true", help="warnings are mistakes")
    parser.add_argument("--no-data", action="store_true", help="look for no files of data")
    add_allow_argument(parser)
    parser.add_argument("--json", action="store_true", help="what was found, for programs")
    parser.add_argument("--names", action="store_true", help="list all warnings")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Check all files; 1 if there is a mistake in any."""
    from caffelite.cli.work import check

    return check.run(args)
