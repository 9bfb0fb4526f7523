"""Small mistakes put into the code, one at a time: do the tests notice?

  python -m tests.mutation                          20 mistakes in each room
  python -m tests.mutation --room solver --count 100 --seed 3
  python -m tests.mutation --minutes 30 --count 1000
  python -m tests.mutation --room plan --list       only shows them

Each is tried by the tests of its file; what they miss, then by wider ones, while there is time.
Prints what was not noticed as FILE:LINE, and a table. Ends with 1 if less than 90 % were caught of
those that change what the code does; tests/mutation/reasons.txt has those that do not, and why.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from itertools import chain, zip_longest
from pathlib import Path

from .mutants import Mutant, mutants_of
from .trials import ROOT, Result, Workshop, take_back

ROOMS = ("layers", "kernels", "solver", "plan", "run")
ENOUGH = 0.9
REASONS = Path(__file__).parent / "reasons.txt"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=0, help="which mutants (0)")
    parser.add_argument("--count", type=int, default=20, help="how many of each room (20)")
    parser.add_argument("--room", action="append", choices=ROOMS, help="may be repeated (all)")
    parser.add_argument("--file", help="only files whose path contains this")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after that long")
    parser.add_argument("--nice", type=int, default=19, help="how far others go first (19)")
    parser.add_argument("--list", action="store_true", help="show the mutants, try none")
    args = parser.parse_args()
    known = reasons()
    chosen = sample(args.room or ROOMS, args.seed, args.count, args.file or "")
    tried = [mutant for mutant in chosen if key(mutant) not in known]
    if args.list:
        print(*tried, sep="\n")
        return 0
    end = time.monotonic() + 60 * args.minutes
    results: dict[Mutant, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder), args.nice)
        for wide in (False, True):
            for mutant in tried:
                if mutant in results and results[mutant].caught:
                    continue
                if time.monotonic() > end:
                    break
                result = results[mutant] = workshop.try_out(mutant, wide)
                word = "caught  " if result.caught else "survives" if wide else "missed  "
                print(f"{word} {mutant}  {result.by}", flush=True)
        sure = take_back(workshop, list(results.values()))
    if len(sure) < len(results):
        print(f"{len(results) - len(sure)} not counted: the tests fail without them, too")
    return report(sure, len(chosen) - len(tried))


def sample(rooms: tuple[str, ...] | list[str], seed: int, count: int, part: str) -> list[Mutant]:
    """`count` mutants of each room, in turn, so that each has its share when time ends."""
    drawn = []
    for room in rooms:
        paths = sorted((ROOT / "caffelite" / room).rglob("*.py"))
        names = [path.relative_to(ROOT).as_posix() for path in paths]
        every = [mutant for name in names if part in name for mutant in mutants_of(ROOT, name)]
        drawn.append(random.Random(f"{seed} {room}").sample(every, min(count, len(every))))
    return [mutant for mutant in chain(*zip_longest(*drawn)) if mutant]


def key(mutant: Mutant) -> tuple[str, str, str]:
    """What stays when lines move."""
    return mutant.path, mutant.where, mutant.change


def reasons() -> dict[tuple[str, str, str], str]:
    """Mutants that change nothing that is promised, with the reason: PATH: WHERE: CHANGE # WHY."""
    found = {}
    for line in REASONS.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            mutant, _, why = line.rpartition("  # ")
            path, where, change = mutant.split(": ", 2)
            found[path, where, change] = why
    return found


def report(results: list[Result], known: int) -> int:
    """The survivors and the table; the exit status."""
    rooms: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        rooms[result.mutant.path.split("/")[1]].append(result)
    survivors = [str(result.mutant) for result in results if not result.caught]
    print("\nSurvivors:", *(survivors or ["none"]), sep="\n  ")
    print(f"\n{'room':<10}{'tried':>7}{'caught':>8}{'share':>8}")
    for room, part in [*rooms.items(), ("all", results)]:
        caught = sum(result.caught for result in part)
        print(f"{room:<10}{len(part):>7}{caught:>8}{caught / max(1, len(part)):>8.1%}")
    print(f"{known} more change nothing that is promised: {REASONS.name}")
    return int(sum(result.caught for result in results) < ENOUGH * len(results))


if __name__ == "__main__":
    sys.exit(main())
