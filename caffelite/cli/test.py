"""Run a net over its data and print the mean of every output.

  caffelite test nets/spiral.net spiral_iter_3000.caffemodel
  caffelite test nets/lenet.net w.caffemodel --iterations 100
  caffelite test lenet.net w.caffemodel --png lenet_test.png --worst 10
  caffelite test --model nets/lenet.net --weights w.caffemodel --json

Without --iterations the whole of the data is run once. For a net that tells
classes apart there are also precision and recall of each class, what is confused
with what, and the worst mistakes with their files; each sample counts once. The
means come last. --png draws the classes. Where a detector's DetectionOutput has
save_output_param its results are written to the files that this names. In a pipe
each batch has its lines, as Caffe prints them. Ctrl-C shows what has been found so
far.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from caffelite.cli.console import (
    add_device_arguments,
    add_force_argument,
    add_named,
    add_plugin_argument,
    given,
    load_plugins,
    refuse_overwriting,
    use_device,
)
from caffelite.cli.nets import add_stand_in_argument, stand_in_shapes

if TYPE_CHECKING:
    from caffelite.net import Net
    from caffelite.schema.net import NetParameter
    from caffelite.solver.monitor import Output
    from caffelite.use.classes import Classes, Judged
    from caffelite.use.detections import Results

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
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--png", metavar="FILE", help="draw what is confused with what")
    add_force_argument(parser, "FILE")
    parser.add_argument(
        "--worst", metavar="N", type=int, default=5, help="mistakes to show (default: 5)"
    )
    parser.add_argument("--labels", metavar="FILE", help="the names of the classes, one a line")
    parser.add_argument(
        "--ap-version",
        choices=["11point", "101point", "MaxIntegral", "Integral"],
        help="of detectors: which mean average precision (default: Integral)",
    )
    parser.add_argument(
        "--per-class", action="store_true", help="of detectors: each class's precision too"
    )
    parser.add_argument("--level", type=int, default=0, help="the net's level")
    parser.add_argument("--stage", default="", help="stages, separated by commas")
    parser.add_argument(
        "--phase", choices=["TRAIN", "TEST"], default="TEST", help="the net's phase (default: TEST)"
    )
    parser.add_argument("--skip-mismatch", action="store_true", help=argparse.SUPPRESS)
    add_stand_in_argument(parser)
    add_device_arguments(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Test; 0, or 130 when stopped by Ctrl-C."""
    args.model = given(args, "model", "NET")
    args.weights = given(args, "weights", "WEIGHTS")
    if args.png:
        refuse_overwriting(args.model, args.png, args.force, drawn=True)
    load_plugins(args)
    from caffelite.cli.stopping import Stopping
    from caffelite.errors import CaffeliteError, Problem
    from caffelite.solver.precision import Scoring
    from caffelite.solver.testing import mean_outputs, tallied
    from caffelite.use.classes import Judged
    from caffelite.use.detections import Results
    from caffelite.use.shown import class_names

    use_device(args)
    net = _net(args)
    count = iterations(net, args.iterations)
    if not net.outputs:
        raise CaffeliteError(Problem(f"{args.model} has no outputs in phase {args.phase}"))
    judged = Judged.of(net, args.worst, bool(args.png))
    if judged is None and (args.png or args.labels):
        option = "--png" if args.png else "--labels"
        raise CaffeliteError(
            Problem(f"{option}: the net holds no scores of classes against labels")
        )
    if (args.ap_version or args.per_class) and not tallied(net):
        option = "--ap-version" if args.ap_version else "--per-class"
        raise CaffeliteError(Problem(f"{option}: the net judges no detections"))
    scoring = Scoring(args.ap_version or "Integral", args.per_class)
    names = class_names(args.labels, len(judged.confusion)) if judged and args.labels else []
    results = Results.of(net)
    with Stopping("stopping after this batch") as stopping:
        each = _Each(args, judged, results, count)
        outputs, loss = mean_outputs(net, count, each, lambda: stopping.asked, scoring)
        each.end()
    written = results.write() if results is not None and not stopping.asked else []
    for path in written:
        print(f"wrote {path}", file=sys.stderr if args.json else sys.stdout)
    found = judged.result(names) if judged is not None else None
    shown_loss = loss if any(net.blob_loss_weights.values()) else None
    if args.json:
        _print_json(each.done, shown_loss, outputs, found)
    else:
        if stopping.asked:
            print(f"stopped after {each.done} of {count} batches")
        _print_text(shown_loss, outputs, found)
    if args.png and found is not None:
        from caffelite.plot.classes import draw_classes
        from caffelite.plot.pictures import save_png

        size = save_png(draw_classes(found, net.name or "net"), args.png, args.force)
        print(f"wrote {args.png} ({size})", file=sys.stderr if args.json else sys.stdout)
    return 130 if stopping.asked else 0


def _net(args: argparse.Namespace) -> Net:
    from caffelite.cli.work.train import show_report
    from caffelite.net import Net
    from caffelite.schema.common import Phase
    from caffelite.solver.monitor import LineMonitor

    stages = [stage for stage in args.stage.split(",") if stage]
    net = Net(_model(args, stages), Phase[args.phase], level=args.level, stages=stages)
    for path in args.weights.split(","):
        report = net.copy_from(path.strip(), skip_mismatch=args.skip_mismatch)
        if report.skipped or report.missing or report.mismatched:
            show_report(LineMonitor(), path, report)
    return net


def _model(args: argparse.Namespace, stages: list[str]) -> str | NetParameter:
    """The net file, or with --shape the net with stand-in data."""
    shapes = stand_in_shapes(args)
    if shapes is None:
        return str(args.model)
    from caffelite.files import load_net
    from caffelite.plan.graph import state_for
    from caffelite.report.standin import stand_in
    from caffelite.schema.common import Phase

    net = load_net(args.model)
    state = state_for(net, Phase[args.phase], args.level, stages)
    return stand_in(net, [state], shapes, os.path.dirname(args.model))


class _Each:
    """What happens after each batch: it is judged; on a terminal a bar goes on, in a pipe its
    outputs are printed."""

    def __init__(
        self,
        args: argparse.Namespace,
        judged: Judged | None,
        results: Results | None,
        count: int,
    ) -> None:
        from caffelite.cli.progress import Bar

        self.judged, self.results, self.done = judged, results, 0
        self.lines = not args.json and not sys.stdout.isatty()
        self.bar = Bar("batches", count)

    def __call__(self, batch: int, outputs: list[Output]) -> None:
        self.done += 1
        self.bar.advance()
        if self.judged is not None:
            self.judged.add_batch()
        if self.results is not None:
            self.results.add_batch()
        for output in outputs if self.lines else []:
            for value in output.values.ravel():
                print(f"Batch {batch}, {output.name} = {value:g}")

    def end(self) -> None:
        self.bar.stop()


def _print_text(loss: float | None, outputs: list[Output], found: Classes | None) -> None:
    from caffelite.cli.help import columns
    from caffelite.use import classtext

    if found is not None:
        print(classtext.text(found, columns() if sys.stdout.isatty() else None), end="\n\n")
    if loss is not None:
        print(f"Loss: {loss:g}")
    for output in outputs:
        print("\n".join(output.lines()))


def _print_json(
    batches: int, loss: float | None, outputs: list[Output], found: Classes | None
) -> None:
    from caffelite.report.strict import to_json
    from caffelite.use import classtext

    said = {
        "batches": batches,
        "loss": loss,
        "outputs": {o.name: o.values.tolist() for o in outputs},
        "classes": classtext.plain(found) if found is not None else None,
    }
    print(to_json(said, indent=2))


def iterations(net: Net, asked: int | None) -> int:
    """How many batches: those asked for, or the whole of the data where its size is known."""
    from caffelite.errors import CaffeliteError, Problem
    from caffelite.solver.testing import data_size

    if asked is not None:
        if asked < 1:
            raise CaffeliteError(Problem(f"--iterations {asked}", expected="1 or more"))
        return asked
    data = data_size(net)
    return data.batches if data is not None else DEFAULT_ITERATIONS
