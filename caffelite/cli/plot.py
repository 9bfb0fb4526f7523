"""Draw a run's curves, or what is in a net: filters, activations, histograms.

  caffelite plot curves spiral.jsonl
  caffelite plot curves lenet.jsonl lenet_adam.jsonl caffe.log
  caffelite plot filters lenet.net w.caffemodel --layer conv1
  caffelite plot activations lenet.net w.caffemodel --input seven.png
  caffelite plot histograms lenet.net w.caffemodel --gradients
  caffelite plot boundary spiral.net spiral_iter_3000.caffemodel

Curves come from the logs of `caffelite train` (.jsonl) and from what Caffe
printed, with glog's time stamps or without; several runs share one picture.
Filters and activations are those of the first layer with windows, unless --layer
or --blob says otherwise. Activations are those of the first sample of the net's
own data, or of --input, an image or .npy. Gradients are those of one batch in
phase TRAIN. Boundary draws where a net with two inputs decides for which class.
A picture that this has drawn is drawn anew; another file of that name is left
alone, unless --force replaces it.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import add_force_argument, add_plugin_argument

GROUP = "look"
ORDER = 6
KINDS = ["curves", "filters", "activations", "histograms", "boundary"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite plot`."""
    add = parser.add_argument
    add("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    add("files", metavar="FILE", nargs="*", help="logs, or NET and WEIGHTS")
    add("-o", "--out", metavar="FILE.png", help="the picture (default: named after the net or log)")
    add_force_argument(parser, "FILE.png")
    add("--layer", metavar="NAME", help="filters: of this layer")
    add("--blob", metavar="NAME", help="activations: this blob; boundary: the scores")
    add("--input", metavar="FILE", help="activations: of this image or .npy")
    add("--gradients", action="store_true", help="histograms: of gradients too")
    add("--grid", metavar="N", type=int, default=400, help="boundary: points a side (400)")
    add("--stage", metavar="A,B", default="", help="stages, separated by commas")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Draw; 0."""
    from caffelite.cli.work import plot

    return plot.run(args)
