"""Run a net over its data and print the mean of every output.

  caffelite test spiral.net spiral_iter_3000.caffemodel
  caffelite test spiral.net spiral_iter_3000.caffemodel --iterations 15

Without --iterations the whole of the data is run once.
"""

from __future__ import annotations

import argparse

from caffelite.cli.console import (
    add_device_arguments,
    add_named,
    add_plugin_argument,
    add_unverified,
    given,
    load_plugins,
    use_device,
)
from caffelite.cli.train import show_report
from caffelite.errors import CaffeliteError, Problem
from caffelite.net import Net
from caffelite.schema.common import Phase
from caffelite.solver.monitor import LineMonitor, Output
from caffelite.solver.testing import data_size, mean_outputs

DEFAULT_ITERATIONS = 50

GROUP = "run"
ORDER = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite test`."""
    add_named(parser, "model", "NET", "net file")
    add_named(parser, "weights", "WEIGHTS", ".caffemodel files, separated by commas")
    parser.add_argument(
        "--iterations",
        metavar="N",
        type=int,
        help=f"batches to run (default: all of the data, or {DEFAULT_ITERATIONS} "
        "if its size is not known)",
    )
    parser.add_argument("--level", type=int, default=0, help="the net's level")
    parser.add_argument("--stage", default="", help="stages, separated by commas")
    parser.add_argument(
        "--phase", choices=["TRAIN", "TEST"], default="TEST", help="(default: TEST)"
    )
    parser.add_argument("--skip-mismatch", action="store_true", help=argparse.SUPPRESS)
    add_unverified(parser)
    add_device_arguments(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Test; 0."""
    args.model = given(args, "model", "NET")
    args.weights = given(args, "weights", "WEIGHTS")
    load_plugins(args)
    use_device(args)
    stages = [stage for stage in args.stage.split(",") if stage]
    net = Net(args.model, Phase[args.phase], level=args.level, stages=stages)
    for path in args.weights.split(","):
        report = net.copy_from(path.strip(), args.skip_mismatch, verify=not args.unverified)
        if report.skipped or report.missing or report.mismatched:
            show_report(LineMonitor(), path, report)
    count = iterations(net, args.iterations)
    if not net.outputs:
        raise CaffeliteError(Problem(f"{args.model} has no outputs in phase {args.phase}"))
    outputs, loss = mean_outputs(net, count, _print_batch)
    if any(net.blob_loss_weights.values()):
        print(f"Loss: {loss:g}")
    for output in outputs:
        print("\n".join(output.lines()))
    return 0


def _print_batch(batch: int, outputs: list[Output]) -> None:
    for output in outputs:
        for value in output.values.ravel():
            print(f"Batch {batch}, {output.name} = {value:g}")


def iterations(net: Net, asked: int | None) -> int:
    """How many batches: those asked for, or the whole of the data where its size is known."""
    if asked is not None:
        if asked < 1:
            raise CaffeliteError(Problem(f"--iterations {asked}", expected="1 or more"))
        return asked
    data = data_size(net)
    return data.batches if data is not None else DEFAULT_ITERATIONS
