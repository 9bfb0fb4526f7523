"""Bring a net or solver of Caffe's old formats up to date.

  caffelite upgrade old_train.prototxt train.net
  caffelite upgrade old_solver.prototxt train.solver
  caffelite upgrade old.caffemodel new.caffemodel
  caffelite upgrade new.caffemodel definition.net
  caffelite upgrade --half new.caffemodel small.caffemodel

Formats V0 and V1 and a solver_type are written in today's. Whether IN is a
net or a solver is seen from what is in it. Names that end in .caffemodel,
.binaryproto or .pb are binary files, all others text. OUT is in canonical
form: one field a line, fields in the order of their numbers. Text that is
made from a binary file holds the definition, without the learned parameters.
--half stores the parameters in half precision, as OpenCV and NVCaffe read them.
"""

from __future__ import annotations

import argparse

GROUP = "files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite upgrade`."""
    parser.add_argument("source", metavar="IN", help="net or solver file, text or binary")
    parser.add_argument("target", metavar="OUT", help="file to write, text or binary by its ending")
    parser.add_argument(
        "--half", action="store_true", help="OUT is a .caffemodel in half precision, half as large"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace OUT if it is there; it may be IN itself"
    )


def run(args: argparse.Namespace) -> int:
    """Upgrade one file; 0."""
    from caffelite.cli.work import upgrade

    return upgrade.run(args)
