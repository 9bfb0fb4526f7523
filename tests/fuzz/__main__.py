"""Damaged files of every kind, for as long as is said.

  python -m tests.fuzz --minutes 10
  python -m tests.fuzz --seed 3 --only hdf5 --case 417      one case again, its file kept

Ends with 1 if a file was read with anything but success or a CaffeliteError, took over 5 s or over
1 GB. Every such file is kept in the folder that --keep names, for a test of its own.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .hunt import case, hunt
from .targets import Target, make_targets


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--count", type=int, help="instead: this many cases of each kind")
    parser.add_argument("--seed", type=int, default=0, help="which cases (0)")
    parser.add_argument("--only", action="append", help="a kind of file; may be repeated")
    parser.add_argument("--case", type=int, help="this one case, in this process")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), help="where files go")
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if args.case is not None:
            return again(args, folder)
        return parent(args, folder)


def child(args: argparse.Namespace) -> int:
    """Try cases from --start on, and print the faults, a line of JSON each."""
    targets = make_targets(args.child)
    if args.only:
        targets = {name: targets[name] for name in args.only}
    end = time.monotonic() + 60 * args.minutes
    counted = range(args.start, args.count) if args.count else itertools.count(args.start)
    numbers = itertools.takewhile(lambda _: args.count or time.monotonic() < end, counted)
    for fault in hunt(targets, args.child, args.seed, iter(numbers)):
        print(json.dumps(fault), flush=True)
    return 0


def parent(args: argparse.Namespace, folder: Path) -> int:
    """Run children until the time is over; one that dies is followed by another."""
    start, end = args.start, time.monotonic() + 60 * args.minutes
    faults: Counter[str] = Counter()
    for round_number in itertools.count():
        place = folder / str(round_number)
        place.mkdir()
        left = max(0.0, end - time.monotonic()) / 60
        command = [sys.executable, "-m", "tests.fuzz", "--child", str(place)]
        command += ["--seed", str(args.seed), "--start", str(start), "--minutes", str(left)]
        command += [f"--count={args.count}"] if args.count else []
        command += [f"--only={name}" for name in args.only or []]
        run = subprocess.run(command, capture_output=True, text=True, errors="replace")
        found = [json.loads(line) for line in run.stdout.splitlines() if line[:1] == "{"]
        name, number = json.loads((place / "now").read_text())
        if run.returncode:
            words = f"the process ended with {run.returncode}\n{run.stderr[-2000:]}"
            found.append({"target": name, "number": number, "fault": words})
        for fault in found:
            faults[fault["target"]] += 1
            keep(args, place, fault)
        start = number + 1
        if not run.returncode or (args.count and start >= args.count):
            break
    print(f"{start:,} cases of each kind; faults: {dict(faults) or 'none'}")
    return 1 if faults else 0


def keep(args: argparse.Namespace, folder: Path, fault: dict[str, object]) -> None:
    """Print a fault and write its file."""
    target, number = str(fault["target"]), int(str(fault["number"]))
    args.keep.mkdir(exist_ok=True)
    file = args.keep / f"{target}-{args.seed}-{number}"
    again = folder / "again"
    again.mkdir(exist_ok=True)
    file.write_bytes(case(_targets(again)[target], target, args.seed, number))
    print(f"{file}: {fault['fault']}\n", flush=True)


@functools.lru_cache(maxsize=1)
def _targets(folder: Path) -> dict[str, Target]:
    return make_targets(folder)


def again(args: argparse.Namespace, folder: Path) -> int:
    """One case again."""
    targets = make_targets(folder)
    (name,) = args.only
    args.keep.mkdir(exist_ok=True)
    file = args.keep / f"{name}-{args.seed}-{args.case}"
    file.write_bytes(case(targets[name], name, args.seed, args.case))
    print(file, flush=True)
    faults = list(hunt({name: targets[name]}, folder, args.seed, iter([args.case])))
    for fault in faults:
        print(fault["fault"])
    return len(faults)


if __name__ == "__main__":
    sys.exit(main())
