"""Compute the mean image of a database.

  caffelite compute-mean train_lmdb mean.binaryproto

A net uses the one or the other:
  transform_param { mean_file: "mean.binaryproto" }
  transform_param { mean_value: 104 mean_value: 117 mean_value: 123 }
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import add_force_argument

GROUP = "data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite compute-mean`."""
    parser.add_argument("source", metavar="INPUT_LMDB", help="the database")
    parser.add_argument(
        "target",
        metavar="OUT.binaryproto",
        nargs="?",
        help="file to write; left out: only the channels' means are shown",
    )
    add_force_argument(parser)
    parser.add_argument("--backend", "-backend", choices=["lmdb"], help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Compute, write, print; 0."""
    from caffelite.cli.work import compute_mean

    return compute_mean.run(args)
