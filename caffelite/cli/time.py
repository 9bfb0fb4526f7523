"""Time a net: every layer, forward and backward.

  caffelite time lenet.net
  caffelite time lenet.net --shape data=64x1x28x28
  caffelite time deploy.prototxt --forward-only --engine numpy
  caffelite time lenet.net --json > times.json

Each pass is run step by step after two to warm up; medians of wall time are
shown, what share of a pass a layer takes, and its speed: two operations for each
multiply-add, forward, and backward for weights and bottoms. ENGINE is what ran
the layer. A layer of no time has been fused with the one before it. Inputs that
no data fill are random. Ctrl-C shows what has been measured.
"""

from __future__ import annotations

import argparse
import sys

from caffelite.cli.console import add_device_arguments, use_device
from caffelite.cli.help import columns
from caffelite.cli.nets import add_state_arguments, net_of
from caffelite.cli.progress import progress

GROUP = "look"
ORDER = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite time`."""
    parser.add_argument("net", metavar="NET", help="net file")
    parser.add_argument("--weights", metavar="FILE", help=".caffemodel (default: as initialised)")
    parser.add_argument(
        "--iterations", metavar="N", type=int, help="passes (default: about 3 seconds of them)"
    )
    parser.add_argument("--forward-only", action="store_true", help="no backward passes")
    parser.add_argument("--json", action="store_true", help="as JSON, in seconds")
    add_state_arguments(parser, phase="TRAIN")
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print; 0."""
    from caffelite.errors import CaffeliteError, Problem

    if args.iterations is not None and args.iterations < 1:
        raise CaffeliteError(Problem(f"--iterations {args.iterations}", expected="1 or more"))
    use_device(args)
    net = net_of(args, args.net, seed=0, weights=args.weights)
    from caffelite.use import timing
    from caffelite.use.inputs import fill_inputs

    fill_inputs(net)
    times = timing.measure(
        net, args.iterations, lambda passes: progress(passes, "passes"), args.forward_only
    )
    if args.json:
        print(timing.as_json(times))
    else:
        print(timing.text(times, columns() if sys.stdout.isatty() else None))
    return 0
