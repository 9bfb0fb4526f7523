"""How fast, and in how much memory: caffelite beside PyTorch, and beside NumPy by hand.

    python tools/bench.py                                        (the spiral)
    python tools/bench.py nets/lenet.net --batch 64
    python tools/bench.py nets/resnet18.net --batch 8 --forward-only --json times.json

For each net a training step (forward, backward, momentum SGD with weight decay) and a forward pass
(phase TEST, no gradients). The contenders are caffelite; the same net in PyTorch, where that is
installed (`--torch-python` names another environment's interpreter); for the spiral, the step
written out by hand in NumPy. Before anything is timed they must agree, on the same parameters and
batches, about the losses of five steps; the largest difference is in the table.

Each contender is a process of its own, so peak memory is its own (the interpreter and all imports
included; "imports" is the part before the net). They take turns, A B C A B C, only one running at a
time; a ratio compares neighbours of one round, so that a slow moment of the machine hits both.
Data layers become inputs of random values: no data files are needed, and none are timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from typing import IO, Any

HERE = os.path.dirname(os.path.abspath(__file__))
SPIRAL = os.path.join(os.path.dirname(HERE), "nets", "spiral.net")
CONTENDERS = {
    "caffelite": "bench_caffelite.py",
    "NumPy by hand": "bench_numpy.py",
    "PyTorch": "bench_torch.py",
}
OURS = "caffelite"
BLOCK = 0.1
"""Seconds that one turn should take at least."""
TOLERANCE = 1e-3
"""A difference in losses or outputs beyond this (relative where they are above 1) means that the
contenders do not compute the same."""


class Skipped(Exception):
    """A contender cannot take part; why."""


class Contender:
    """One child process, which runs when told to."""

    def __init__(self, name: str, python: str, folder: str, which: str, threads: int) -> None:
        self.name = name
        self.process = start(python, CONTENDERS[name], folder, which, threads)
        self.hello = self._answer()
        self.times: list[float] = []
        self.steps = 1

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise Skipped(f"ended with status {self.process.returncode}; its message is above")
        answer: dict[str, Any] = json.loads(line)
        if "skip" in answer:
            self.process.wait()
            raise Skipped(answer["skip"])
        return answer

    def run(self, count: int) -> float:
        """Seconds for `count` runs."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        print(count, file=stdin, flush=True)
        return float(self._answer()["seconds"])

    def settle(self, steps: int) -> None:
        """Warm up, and find how many runs make a turn long enough to time."""
        self.run(1)
        self.steps = steps
        while not self.steps:
            count = max(1, int(BLOCK / max(self.run(1), 1e-6) / 4))
            self.steps = max(1, round(BLOCK / self.run(count) * count))

    def turn(self) -> None:
        self.run(max(1, self.steps // 10))  # caches and threads are cold after the others' turns
        self.times.append(self.run(self.steps) / self.steps)

    def end(self) -> dict[str, Any]:
        """Stop; what was measured."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        peak = self._answer()["peak_mb"]
        self.process.wait()
        microseconds = [t * 1e6 for t in self.times]
        return {
            "name": self.name,
            "version": self.hello["version"],
            "steps": self.steps,
            "median_us": statistics.median(microseconds),
            "min_us": min(microseconds),
            "quartiles_us": quartiles(microseconds),
            "peak_mb": peak,
            "import_mb": self.hello["import_mb"],
            "difference": self.hello["difference"],
        }


def start(python: str, script: str, folder: str, which: str, threads: int) -> subprocess.Popen[str]:
    """A child of ours; thread pools read their sizes from the environment when they start."""
    sizes = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return subprocess.Popen(
        [python, os.path.join(HERE, script), folder, which],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict.fromkeys(sizes, str(threads))},
    )


def quartiles(values: list[float]) -> list[float]:
    """The first and the third."""
    if len(values) == 1:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def prepare(folder: str, job: dict[str, Any]) -> dict[str, Any]:
    """Have the net described for all contenders: inputs and parameter count of each pass."""
    with open(os.path.join(folder, "job.json"), "w") as file:
        json.dump(job, file)
    child = start(sys.executable, CONTENDERS[OURS], folder, "prepare", job["threads"])
    out, _ = child.communicate()
    found: dict[str, Any] = {}
    for answer in map(json.loads, out.splitlines()):
        if "skip" in answer:
            raise Skipped(answer["skip"])
        if "note" in answer:
            print(answer["note"], file=sys.stderr)
            continue
        found[answer.pop("pass")] = answer
    if child.returncode:
        raise Skipped(f"{job['net']} could not be prepared; the message is above")
    return found


def measure(folder: str, which: str, job: dict[str, Any]) -> dict[str, Any]:
    """One pass of one net: all contenders in turns."""
    running: list[Contender] = []
    notes: list[str] = []
    for name in CONTENDERS:
        python = job["torch_python"] if name == "PyTorch" else sys.executable
        try:
            running.append(Contender(name, python, folder, which, job["threads"]))
        except (Skipped, OSError) as why:
            if name == OURS:
                raise Skipped(str(why)) from None
            notes.append(f"{name} is left out: {why}")
    for contender in running:
        contender.settle(job["steps"])
    for _ in range(job["repeat"]):
        for contender in running:
            contender.turn()
    results = [contender.end() for contender in running]
    ratios = []
    for other, result in zip(running[1:], results[1:]):
        pairs = [ours / theirs for ours, theirs in zip(running[0].times, other.times)]
        ratios.append(
            {
                "of": OURS,
                "to": other.name,
                "median": statistics.median(pairs),
                "quartiles": quartiles(pairs),
                "range": [min(pairs), max(pairs)],
            }
        )
        if not result["difference"] < TOLERANCE:
            notes.append(
                f"{other.name} does not compute the same (difference {result['difference']:.3g}): "
                "don't trust its ratio"
            )
    return {"contenders": results, "ratios": ratios, "notes": notes}


def duration(microseconds: float) -> str:
    for limit, factor, unit in ((1e3, 1, "us"), (1e6, 1e3, "ms"), (float("inf"), 1e6, "s")):
        if microseconds < limit:
            return f"{microseconds / factor:.3g} {unit}"
    return "nan"


def megabytes(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f} MB"


def table(result: dict[str, Any]) -> str:
    """A result for people."""
    inputs = ", ".join(f"{n} {'x'.join(map(str, s))}" for n, s in result["inputs"].items())
    what = "training step" if result["pass"] == "train" else "forward pass"
    lines = [f"{result['net']}: {what}, {inputs}; {result['parameters']:,} parameters"]
    head = ("", "median", "minimum", "peak", "imports", "caffelite / it", "difference")
    rows = [head]
    ratios = {ratio["to"]: ratio for ratio in result["ratios"]}
    for c in result["contenders"]:
        ratio, shown, off = ratios.get(c["name"]), "", ""
        if ratio:
            low, high = ratio["quartiles"]
            shown = f"{ratio['median']:.2f} ({low:.2f} to {high:.2f})"
            off = f"{c['difference']:.1e}"
        times = duration(c["median_us"]), duration(c["min_us"])
        memory = megabytes(c["peak_mb"]), megabytes(c["import_mb"])
        rows.append((f"{c['name']} {c['version']}", *times, *memory, shown, off))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(["", row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join([*lines, *(f"  {note}" for note in result["notes"])])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Ratios are caffelite's time over the other's, with quartiles: below 1 is faster.",
    )
    add = parser.add_argument
    add("nets", nargs="*", default=[SPIRAL], metavar="NET", help="net files (the spiral)")
    add("--batch", type=int, default=0, help="samples a batch (as the net says)")
    add("--shape", default="", help="a sample's shape where the net does not tell it: 1,28,28")
    add("--forward-only", action="store_true", help="no training step")
    add("--train-only", action="store_true", help="no forward pass")
    add("--repeat", type=int, default=15, help="turns of each contender (15)")
    add("--steps", type=int, default=0, help="runs in a turn (enough for 0.1 s)")
    add("--threads", type=int, default=2, help="threads for every contender (2)")
    add("--torch-python", default=sys.executable, metavar="PATH", help="interpreter with PyTorch")
    add("--json", default="", metavar="FILE", help="write the numbers there too; - is stdout")
    args = parser.parse_args()
    if args.repeat < 1 or args.threads < 1 or args.steps < 0 or args.batch < 0:
        parser.error("--repeat and --threads must be 1 or more, --steps and --batch not negative")
    if args.forward_only and args.train_only:
        parser.error("--forward-only and --train-only leave nothing to measure")
    if args.shape and not all(n.isdigit() and int(n) for n in args.shape.split(",")):
        parser.error(f"--shape {args.shape}: expected extents, as in 3,227,227")
    return args


def main() -> int:
    args = arguments()
    passes = [p for p in ("train", "forward") if not (args.forward_only and p == "train")]
    if args.train_only:
        passes.remove("forward")
    status = 0
    results = []
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5 * (os.cpu_count() or 1):
        print(
            f"The machine is busy (load {load:.1f}): with several threads each waits for the "
            "slowest, PyTorch's above all. Trust minima, or --threads 1.",
            file=sys.stderr,
        )
    for net in args.nets:
        job = {
            **{name: getattr(args, name) for name in ("batch", "repeat", "steps", "threads")},
            "net": os.path.abspath(net),
            "passes": passes,
            "shape": [int(n) for n in args.shape.split(",")] if args.shape else [],
            "torch_python": args.torch_python,
        }
        with tempfile.TemporaryDirectory() as folder:
            try:
                facts = prepare(folder, job)
                for which in (p for p in passes if p in facts):
                    result = {"net": os.path.relpath(net), "pass": which, **facts[which]}
                    result |= measure(folder, which, job)
                    results.append(result)
                    if args.json != "-":
                        print(table(result), end="\n\n", flush=True)
            except Skipped as why:
                print(why, file=sys.stderr)
                status = 1
    machine: dict[str, Any] = {"system": platform.platform(), "cores": os.cpu_count(), "load": load}
    machine["python"] = platform.python_version()
    settings = {"threads": args.threads, "repeat": args.repeat}
    report = json.dumps({**settings, "machine": machine, "results": results}, indent=2)
    if args.json == "-":
        print(report)
    elif args.json:
        with open(args.json, "w") as file:
            print(report, file=file)
    return status


if __name__ == "__main__":
    sys.exit(main())
