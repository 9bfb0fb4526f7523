"""Read an ONNX model into a net, and verify it.

  caffelite import-onnx model.onnx -o model.net
  caffelite import-onnx model.onnx -o model.net --shape input=1x3x320x320
  caffelite import-onnx model.onnx -o deploy.prototxt --profile nnie

Writes OUT.net and, beside it, OUT.caffemodel. Extents that the model leaves
open are 1, or as --shape says. Model and net are run on the same random
inputs, and every blob is compared; the table is printed and written to
OUT.net.verify.txt. Nodes that Caffe has no equivalent for are listed, all of
them, and nothing is written then. --profile is for the toolchains of chips
that read Caffe's files: layers that one does not list are written as others
where that is exact, which is said; what is left is listed and refused.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import add_force_argument
from caffelite.cli.nets import add_shape_argument

GROUP = "files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite import-onnx`."""
    add = parser.add_argument
    add("model", metavar="MODEL.onnx", help="ONNX model")
    add("-o", "--output", metavar="OUT.net", required=True, help="net file to write")
    add_force_argument(parser, "OUT.net and OUT.caffemodel")
    add_shape_argument(parser, "the shape of an input; may be repeated")
    add(
        "--profile",
        choices=["atc", "caffe", "nnie", "rknn", "sophgo"],
        help="rewrite for what this toolchain reads, and refuse what it does not (default: all "
        "of caffelite's layers)",
    )
    add("--tolerance", type=float, default=1e-4, help="of a blob's largest value (default: 1e-4)")
    add("--seed", type=int, default=1, help="of the random inputs (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Import and verify; 0."""
    from caffelite.cli.work import import_onnx

    return import_onnx.run(args)
