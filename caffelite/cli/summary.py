"""Show a net's layers: shapes, parameters, multiply-adds, memory.

  caffelite summary spiral.net
  caffelite summary lenet.net --stage deploy
  caffelite summary lenet.net --phase TRAIN --shape data=64x1x28x28
  caffelite summary lenet.net --csv > lenet.csv

Nothing is run. Multiply-adds are those of products with learned weights, in one
forward pass of the whole batch. Memory is that of the blobs: "inference" their
values, "training" with gradients. The last line adds the parameters (in training
with gradients and one history) and counts, for inference, the blobs that are
needed at the same time. Columns that do not fit the terminal are left out.

Layers of types that are not known here, and all behind them, have ? for their
shapes; the sums are of the others.
"""

from __future__ import annotations

import argparse
import sys

from caffelite.cli.help import columns
from caffelite.cli.nets import add_state_arguments, plan_of

GROUP = "look"
ORDER = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite summary`."""
    parser.add_argument("net", metavar="NET", help="net file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, in bytes")
    form.add_argument("--csv", action="store_true", help="as CSV, in bytes")
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table; 0."""
    plan, left_out = plan_of(args, args.net)
    from caffelite.report import render
    from caffelite.report.summary import summarise
    from caffelite.report.unknown import with_unknown

    summary = with_unknown(summarise(plan, args.phase), left_out)
    if args.json:
        print(render.as_json(summary))
    elif args.csv:
        print(render.as_csv(summary), end="")
    else:
        print(render.text(summary, columns() if sys.stdout.isatty() else None))
    return 0
