"""How fast, and in how much memory: caffelite's engines beside PyTorch and ONNX Runtime.

For each net a training step (forward with the loss, backward, momentum SGD with weight decay) and
inference (phase TEST, the "deploy" stage where the file has one, no gradients). The contenders are
caffelite on each of its engines; the same net as PyTorch's users write it, in its default memory
order and in channels-last; ONNX Runtime, for inference; for the spiral, the step written out by
hand in NumPy. Who cannot start is named with the reason and left out.

Before anything is timed they must agree, on the same parameters and batches, about the losses of
five steps or about the outputs; the largest difference from caffelite's NumPy engine is in the
table. Each contender is a process of its own, so its peak memory is its own (the interpreter and
all imports included; "imports" is the part before the net). They take turns, A B C A B C, only one
running at a time. A ratio compares neighbours of one round, so that a slow moment of the machine
hits both; what is shown is the median, with quartiles in brackets. Below 1 is faster.

Data layers become inputs of random values: no data files are needed, and none are timed. A net
without a loss is trained with SoftmaxWithLoss in place of its Softmax.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from typing import Any

from benchmark import growth, machine, memory, picture
from benchmark.contenders import BATCHES, KINDS, USUAL, entries, find_net, usual_batch
from benchmark.processes import Skipped
from benchmark.report import table
from benchmark.rounds import measure, prepare

EXAMPLES = """examples:
  python tools/bench.py                             the spiral, every contender
  python tools/bench.py all --json t.json --plot t.png
  python tools/bench.py lenet quick --cpu           CPU time on one thread
  python tools/bench.py caffenet --batch 1,16 --forward-only
  python tools/bench.py lenet --contenders numpy,torch,pytorch --repeat 30
  python tools/bench.py lenet --beside              one core kept busy meanwhile
  python tools/bench.py my.net --shape 3,64,64      data layers of 3x64x64 samples
  python tools/bench.py lenet --grow batch          how time grows with the batch
  python tools/bench.py --grow depth                a chain of up to 10,000 layers
  python tools/bench.py --memory                    inference's memory, every net

On a busy machine wall time says little, with several threads above all: each
waits for the slowest. Trust --cpu there, and minima.
"""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    nets = ", ".join(BATCHES)
    add("nets", nargs="*", metavar="NET", help=f"a path, a name in nets/, or all: {nets} (spiral)")
    add(
        "--batch", default="", metavar="N,N", help="samples a batch (usual for ours, or the file's)"
    )
    add("--shape", default="", help="a sample's shape where the net does not tell it: 1,28,28")
    add("--forward-only", action="store_true", help="no training step")
    add("--train-only", action="store_true", help="no inference")
    add(
        "--contenders",
        default=",".join(USUAL),
        metavar="A,B",
        help=f"some of {', '.join(KINDS)} (all but auto); numpy@1 is numpy on one thread",
    )
    add("--wall", action="store_true", help="wall time on --threads threads (the default)")
    add("--cpu", action="store_true", help="CPU time of the process on one thread")
    add("--threads", type=int, default=2, help="threads for every contender's wall time (2)")
    add("--beside", action="store_true", help="keep one core busy with another process meanwhile")
    add("--repeat", type=int, default=15, help="turns of each contender (15)")
    add("--steps", type=int, default=0, help="runs in a turn (enough for 0.1 s)")
    add("--grow", choices=("batch", "depth"), help="how cost grows, with a fitted exponent")
    add("--sizes", default="", metavar="N,N", help="the depths of --grow depth (10 to 10000)")
    add("--memory", action="store_true", help="peak memory of inference beside what it should be")
    add("--torch-python", default=sys.executable, metavar="PATH", help="interpreter with PyTorch")
    add("--json", default="", metavar="FILE", help="write the numbers there too; - is stdout")
    add("--plot", default="", metavar="FILE", help="draw a picture (PNG, PDF or SVG by its name)")
    args = parser.parse_args(argv)
    check(parser, args)
    return args


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse what makes no sense; turn lists and names into what they stand for."""
    if args.repeat < 1 or args.threads < 1 or args.steps < 0:
        parser.error("--repeat and --threads must be 1 or more, --steps not negative")
    if args.forward_only and args.train_only:
        parser.error("--forward-only and --train-only leave nothing to measure")
    for option in ("batch", "shape", "sizes"):
        value = getattr(args, option)
        numbers = value.split(",") if value else []
        if not all(n.isdigit() and int(n) for n in numbers):
            parser.error(f"--{option} {value}: expected whole numbers above 0, as in 1,16")
        setattr(args, option, [int(n) for n in numbers])
    if args.sizes and args.grow != "depth":
        parser.error("--sizes is for --grow depth; batches are said by --batch")
    if args.memory and args.grow:
        parser.error("--memory and --grow are two different measurements: one at a time")
    if args.memory and (args.plot or args.batch or args.cpu or args.wall or args.beside):
        parser.error("--memory has no times: no --plot, --batch, --cpu, --wall or --beside")
    given = args.nets or args.batch or args.shape or args.beside or args.wall
    if args.grow == "depth" and given:
        parser.error(
            "--grow depth makes its own nets and takes CPU time: no NET, --batch, --shape, "
            "--wall or --beside"
        )
    if args.plot and os.path.splitext(args.plot)[1].lower() not in (".png", ".pdf", ".svg"):
        parser.error(f"--plot {args.plot}: expected a name that ends in .png, .pdf or .svg")
    try:
        args.paths = [path for name in args.nets for path in expand(name)]
        args.figures = [f for f in ("wall", "cpu") if getattr(args, f)] or ["wall"]
        names = [name for name in args.contenders.split(",") if name]
        args.entries = {
            "wall": entries(names, args.threads, args.beside),
            "cpu": entries([name.partition("@")[0] for name in names], 1, False),
        }
    except ValueError as error:
        parser.error(str(error))
    if not names:
        parser.error("--contenders names nobody")


def expand(name: str) -> list[str]:
    return [find_net(stem) for stem in BATCHES] if name == "all" else [find_net(name)]


def jobs(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What is to be run: each net at each batch."""
    passes = [] if args.forward_only else ["train"]
    passes += [] if args.train_only else ["forward"]
    found = []
    for path in args.paths or [find_net("spiral")]:
        usual = growth.BATCHES if args.grow else [usual_batch(path)]
        for batch in args.batch or usual:
            found.append({"net": path, "passes": passes, "batch": batch, "shape": args.shape})
    return found


def run_job(job: dict[str, Any], args: argparse.Namespace) -> list[dict[str, Any]]:
    """All passes and figures of one net at one batch. Errors: Skipped."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        facts = prepare(folder, job)
        for which in (p for p in job["passes"] if p in facts):
            for figure in args.figures:
                result: dict[str, Any] = {"net": os.path.relpath(job["net"]), "pass": which}
                first = next(iter(facts[which]["inputs"].values()), [0])
                result |= {"batch": first[0], "beside": args.beside, **facts[which]}
                result["threads"] = 1 if figure == "cpu" else args.threads
                result |= measure(
                    folder,
                    which,
                    figure,
                    args.entries[figure],
                    repeat=args.repeat,
                    steps=args.steps,
                    python=args.torch_python,
                    beside=args.beside,
                )
                found.append(result)
                tell(args, table(result) + "\n")
    return found


def tell(args: argparse.Namespace, text: str) -> None:
    """For people, unless standard output is for JSON."""
    if args.json != "-":
        print(text, flush=True)


def times(args: argparse.Namespace, report: dict[str, Any]) -> int:
    """The nets' times, and their growth with the batch if that was asked for."""
    status = 0
    results = report["results"]
    for job in jobs(args):
        try:
            results += run_job(job, args)
        except Skipped as why:
            print(why, file=sys.stderr)
            status = 1
    curves = growth.with_batch(results) if args.grow else []
    if args.grow:
        report["growth"] = curves
        tell(args, growth.table(curves, "batch"))
    if args.plot and results:
        if curves:
            picture.lines(curves, report["machine"], args.plot, "batch")
        else:
            picture.bars(results, report["machine"], args.plot)
    return status


def depth(args: argparse.Namespace, report: dict[str, Any]) -> int:
    keys = [entry.kind.key for entry in args.entries["cpu"] if entry.kind.ours]
    curves, notes = growth.with_depth(keys, args.sizes or growth.DEPTHS, args.repeat)
    report |= {"growth": curves, "notes": notes}
    tell(args, growth.table(curves, "layers"))
    for note in notes:
        print(note, file=sys.stderr)
    if args.plot and curves:
        picture.lines(curves, report["machine"], args.plot, "layers in the chain")
    return 0 if curves else 1


def footprint(args: argparse.Namespace, report: dict[str, Any]) -> int:
    engines = [entry.kind.key for entry in args.entries["wall"] if entry.kind.ours]
    rows, notes = memory.measure_all(args.paths, engines, args.threads, args.shape)
    report |= {"memory": rows, "notes": notes}
    if rows:
        tell(args, memory.table(rows))
    for note in notes:
        print(note, file=sys.stderr)
    return 0 if rows else 1


def main() -> int:
    args = arguments()
    report: dict[str, Any] = {"machine": machine.facts()}
    report["settings"] = {"threads": args.threads, "repeat": args.repeat, "beside": args.beside}
    report["results"] = []
    load = report["machine"]["load"]
    if load > 0.5 * machine.usable_cores() and not args.memory:
        print(
            f"The machine is busy (load {load:.1f}): with several threads each waits for the "
            "slowest, PyTorch's above all. Trust minima, or --cpu.",
            file=sys.stderr,
        )
    mode = footprint if args.memory else depth if args.grow == "depth" else times
    try:
        status = mode(args, report)
    except KeyboardInterrupt:
        print("stopped; what was measured until now is kept", file=sys.stderr)
        status = 130
    text = json.dumps(report, indent=2)
    if args.json == "-":
        print(text)
    elif args.json:
        with open(args.json, "w") as file:
            print(text, file=file)
    return status


if __name__ == "__main__":
    sys.exit(main())
