"""Download a data set: checksums are verified, broken downloads are gone on with.

  caffelite data mnist data/mnist
  caffelite data cifar10 data/cifar10
  caffelite data

Without a name: the data sets there are. Files that are in DIR and right are
kept. This is the one command that uses the network.
"""

from __future__ import annotations

import argparse

GROUP = "data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite data`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="mnist, cifar10")
    parser.add_argument("folder", metavar="DIR", nargs="?", help="where the files go; made if new")
    parser.add_argument(
        "--mirror",
        metavar="URL",
        action="append",
        help="folder on a server to download from, instead of the publisher's; may be repeated",
    )


def words() -> list[str]:
    """What a shell completes: the data sets."""
    return ["mnist", "cifar10"]


def run(args: argparse.Namespace) -> int:
    """Download; 0 when all files are there."""
    from caffelite.cli.work import data

    return data.run(args)
