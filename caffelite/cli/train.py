"""Train a net as a solver file says.

  caffelite train spiral.solver
  caffelite train spiral.solver --snapshot spiral_iter_1000.solverstate
  caffelite train finetune.solver --weights bvlc_reference.caffemodel
  caffelite train lenet.solver --dry-run

Ctrl-C finishes the iteration, takes a snapshot and says how to go on; an error that ends the run
takes one too, where the disk allows. Beside the snapshots lie the log, PREFIX.jsonl, which
`caffelite plot` draws, and the run's manifest, PREFIX.run.json: versions, command, seed, engine,
checksums of files. In a pipe losses and tests are printed as Caffe prints them.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import (
    add_device_arguments,
    add_named,
    add_plugin_argument,
    add_unverified,
)
from caffelite.cli.nets import add_stand_in_argument
from caffelite.cli.warnings import add_allow_argument

GROUP = "run"
ORDER = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite train`."""
    add_named(parser, "solver", "SOLVER", "solver file")
    parser.add_argument("--snapshot", metavar="STATE", help=".solverstate to go on from")
    parser.add_argument(
        "--weights",
        metavar="FILES",
        help=".caffemodel files to start from, separated by commas; copied by layer name",
    )
    parser.add_argument(
        "--skip-mismatch",
        action="store_true",
        help="with --weights: pass over parameters of another shape",
    )
    add_unverified(parser)
    parser.add_argument(
        "--log",
        metavar="FILE",
        help="where to write losses and test results, JSON lines (default: PREFIX.jsonl)",
    )
    parser.add_argument(
        "--make-folder",
        action="store_true",
        help="make the folder of snapshot_prefix if it is not there",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="build everything, run one batch, say what it takes; nothing is written",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("-q", "--quiet", action="store_true", help="print mistakes and warnings only")
    how.add_argument(
        "-v", "--verbose", action="store_true", help="print the layers, and lines as in a pipe"
    )
    add_allow_argument(parser)
    add_stand_in_argument(parser)
    add_device_arguments(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Train; 0 when done, 130 when stopped by Ctrl-C."""
    from caffelite.cli.work import train

    return train.run(args)
