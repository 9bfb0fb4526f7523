"""Write a net as an ONNX model, and verify it.

  caffelite export deploy.prototxt net.caffemodel -o net.onnx
  caffelite export train.net w.caffemodel -o net.onnx --shape data=1x3x224x224
  caffelite export deploy.net w.caffemodel -o net.onnx --fixed --verify opencv

Blobs and layers keep their names. A net that trains is exported in its deploy
form: data layers become inputs, losses the probabilities they compare. The
model is run with ONNX Runtime beside the net, and every blob is compared; the
table is printed and written to OUT.onnx.verify.txt. A model that differs is an
error that names the first layer that does, and is not written.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import add_force_argument, add_plugin_argument
from caffelite.cli.nets import add_shape_argument

GROUP = "files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite export`."""
    add = parser.add_argument
    add("net", metavar="NET", help="net file: a deploy net, or one that trains")
    add("weights", metavar="WEIGHTS", help=".caffemodel or .h5")
    add("-o", "--output", metavar="OUT.onnx", required=True, help="file to write")
    add_force_argument(parser, "OUT.onnx")
    add("--stage", default="", help="stages of the net, separated by commas")
    add("--level", type=int, default=0, help="the net's level")
    add_shape_argument(parser, "the shape of an input; may be repeated")
    add("--fixed", action="store_true", help="fix all shapes; else the batch may vary")
    add("--fold", action="store_true", help="merge BatchNorm, BN, Scale, Bias into convolutions")
    add("--prepare", action="store_true", help="mean and scale of transform_param in the model")
    add("--mean", metavar="B,G,R|FILE", help="subtract this in the model (values or .binaryproto)")
    add("--scale", type=float, help="multiply by this in the model, after the mean")
    add("--opset", type=int, default=0, help="ONNX opset, 13 to 21 (default: 17)")
    add("--ir", type=int, help="ONNX IR version (default: the oldest that has the opset)")
    add("--external", action="store_true", help="weights in a file of their own, OUT.onnx.data")
    add(
        "--verify",
        choices=["runtime", "opencv", "none"],
        default="runtime",
        help="with ONNX Runtime (default), with OpenCV 5 too, or not at all",
    )
    add("--tolerance", type=float, default=1e-4, help="of a blob's largest value (default: 1e-4)")
    add("--seed", type=int, default=0, help="of the random inputs (default: 0)")
    add(
        "--try",
        dest="given",
        metavar="BLOB=FILE.npy",
        action="append",
        default=[],
        help="verify with this input too",
    )
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Export and verify; 0."""
    from caffelite.cli.work import export

    return export.run(args)
