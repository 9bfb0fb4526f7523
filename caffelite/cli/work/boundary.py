"""What a net with two inputs has learned, and the course of its run: two pictures."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import caffelite
from caffelite.cli.work.train import show_report
from caffelite.errors import CaffeliteError, Problem
from caffelite.examples import find_example
from caffelite.layers.spiral_data import SpiralData
from caffelite.plot.boundary import decision_regions, draw_regions
from caffelite.plot.curves import draw_curves
from caffelite.plot.logs import Log, read_log
from caffelite.plot.pictures import has_display, save_png, show_windows
from caffelite.snapshot import read_state
from caffelite.solver.monitor import LineMonitor

SPIRAL = "nets/spiral.net"


def draw(args: argparse.Namespace) -> None:
    """Both pictures, and a line for each."""
    net_path = Path(args.net) if args.net else find_spiral()
    weights = Path(args.weights) if args.weights else newest_weights(net_path)
    run = re.sub(r"_iter_\d+$", "", weights.name.split(".caffemodel")[0])
    log_path = Path(args.log) if args.log else weights.with_name(f"{run}.jsonl")
    if args.curves and not args.log and not log_path.exists():
        raise CaffeliteError(
            Problem(f"--curves, but there is no {log_path}", hint="name the log with --log")
        )
    window = args.show and has_display()
    if args.show and not window:
        print("--show: there is no display here", file=sys.stderr)

    log = read_log(log_path) if args.log or log_path.exists() else None
    seed = seed_of_run(weights, log)
    net = caffelite.Net(net_path, caffelite.TEST, seed=seed)
    report = net.copy_from(str(weights))
    if report.skipped or report.missing or report.mismatched:
        show_report(LineMonitor(), str(weights), report)
    regions = decision_regions(net, args.blob, grid=args.grid)
    if seed is None and any(isinstance(x, SpiralData) and x.param.seed < 0 for x in net.layers):
        print(
            f"no .solverstate or log beside {weights}: "
            "these points are drawn anew, not those of training",
            file=sys.stderr,
        )
    out = args.out or f"{net_path.stem}_boundary.png"
    size = save_png(draw_regions(regions, window), out, args.force)
    print(f"wrote {out} ({size})")
    if regions.accuracy is not None:
        right = len(regions.points) - int(regions.wrong.sum())
        print(f"accuracy = {regions.accuracy:g} ({right} of {len(regions.points)} points)")

    if log is not None:
        curves = args.curves or f"{net_path.stem}_curves.png"
        figure = draw_curves(log, net.name or net_path.stem, window)
        print(f"wrote {curves} ({save_png(figure, curves, args.force)})")
    if window:
        show_windows()


def find_spiral() -> Path:
    """The spiral net: in the current folder, or else the example."""
    here = Path(SPIRAL)
    return here if here.exists() else find_example("spiral").net


def newest_weights(net: Path) -> Path:
    """The newest snapshot in the current folder that is named like the net."""
    found = [*Path().glob(f"{net.stem}_iter_*.caffemodel*")]
    found = [p for p in found if p.name.endswith((".caffemodel", ".caffemodel.h5"))]
    if not found:
        solver = f"solvers/{net.stem}.solver"
        raise CaffeliteError(
            f"there is no {net.stem}_iter_*.caffemodel here: "
            f"run `caffelite train --solver {solver}` first"
        )
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def seed_of_run(weights: Path, log: Log | None) -> int | None:
    """The seed of the training, by which layers draw the same points again: from the state beside
    the weights, or else from the log."""
    state = weights.with_name(weights.name.replace(".caffemodel", ".solverstate"))
    if state != weights and state.exists():
        streams = read_state(str(state)).run.get("streams")
        if streams:
            return int(streams["seed"])
    return log.seed if log else None
