"""Ask a trained net about images, arrays or rows of a table.

  caffelite predict lenet.net lenet_iter_10000.caffemodel seven.png
  caffelite predict train.net w.caffemodel photos/ --labels names.txt --top 3
  caffelite predict iris.net w.caffemodel flowers.csv --csv > found.csv
  caffelite predict deploy.prototxt w.caffemodel cat.jpg \\
      --transform "crop_size: 224 mean_value: [104, 117, 123]" --resize 256x256

NET may be the net that was trained: its data layers become inputs, its losses
probabilities, and samples are prepared as its transform_param says (phase TEST,
not mirrored). Images are resized as in training, where the net or its mean file
tells how; folders are searched for images. Names of the classes come from
--labels, a name a line, or from the net's own data.
"""

from __future__ import annotations

import argparse
import sys

from caffelite.cli.console import (
    add_device_arguments,
    add_plugin_argument,
    complain,
    load_plugins,
    use_device,
)
from caffelite.cli.nets import add_shape_argument, given_shapes

GROUP = "run"
ORDER = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite predict`."""
    add = parser.add_argument
    add("net", metavar="NET", help="net file: one that trains, or a deploy net")
    add("weights", metavar="WEIGHTS", help=".caffemodel or .h5")
    add("samples", metavar="SAMPLES", nargs="+", help="images, folders of images, .npy, .csv")
    add("--labels", metavar="FILE", help="the names of the classes, one a line")
    add("--top", metavar="K", type=int, help="classes shown for each sample (default: 5)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object for each sample")
    form.add_argument("--csv", action="store_true", help="a line for each sample and class")
    add("--transform", metavar="TEXT", help="transform_param, in the place of the net's own")
    add("--resize", metavar="HxW", help="resize images to this first")
    add("--blob", metavar="NAME", help="the output to show (default: the probabilities)")
    add_shape_argument(parser, "the shape of an input whose data are not here")
    add("--stage", metavar="A,B", default="", help="stages, separated by commas")
    add("--level", metavar="N", type=int, default=0, help="the net's level")
    add_device_arguments(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Predict and print; 0, or 1 if a sample could not be read."""
    load_plugins(args)
    use_device(args)
    import numpy as np

    from caffelite.errors import CaffeliteError, Problem
    from caffelite.report.inputs import read_size
    from caffelite.use.predict import Options, Predictor
    from caffelite.use.preparing import files_of
    from caffelite.use.shown import Shown, class_names

    if args.top is not None and args.top < 1:
        raise CaffeliteError(Problem(f"--top {args.top}", expected="1 or more"))
    options = Options(
        [stage for stage in args.stage.split(",") if stage],
        args.level,
        given_shapes(args),
        args.transform,
        read_size(args.resize) if args.resize else (0, 0),
        args.blob,
    )
    files = files_of(args.samples)
    predictor = Predictor(
        args.net, args.weights, options, files[0], lambda text: print(text, file=sys.stderr)
    )
    names = class_names(args.labels, predictor.classes) if args.labels else predictor.names
    form = "json" if args.json else "csv" if args.csv else "text"
    ranked = predictor.ranks or bool(args.top or args.labels)
    shown = Shown(predictor.output, names, (args.top or 5) if ranked else None, form)
    print(shown.head(), end="")
    problems: list[Problem] = []
    count = broken = 0
    for found in predictor.predict(predictor.samples(files, problems)):
        count, broken = count + 1, broken + (not np.isfinite(found.values).all())
        print(shown(found))
    if broken:
        sys.stdout.flush()
        print(
            f"warning: {broken} of {count} outputs are not finite (nan or inf): inputs or "
            "parameters are too large\n"
            "  `caffelite cat` shows the parameters, `caffelite features` any blob",
            file=sys.stderr,
        )
    if problems:
        sys.stdout.flush()
        complain(CaffeliteError(*problems))
    return 1 if problems else 0
