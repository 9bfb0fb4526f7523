"""Copy an example: a net and its solver, to run and to change.

  caffelite new
  caffelite new spiral
  caffelite new lenet digits/

The first lists the examples. Files that are there are left alone, unless
--force replaces them.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from caffelite.cli.help import columns
from caffelite.errors import CaffeliteError, Problem
from caffelite.examples import Example, examples, find_example

GROUP = "run"
ORDER = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite new`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="the example (default: list them)")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="(default: here)")
    parser.add_argument("--all", action="store_true", help="all of the example's solvers")
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def words() -> list[str]:
    """What a shell completes: the examples."""
    return list(examples())


def run(args: argparse.Namespace) -> int:
    """List or copy; 0."""
    if args.name is None:
        print("\n".join(listing()))
        return 0
    example = find_example(args.name)
    solvers = example.solvers if args.all else example.solvers[:1]
    wanted = {example.net.name, *(path.name for path in solvers)}
    files = {Path(args.folder) / n: text for n, text in example.files().items() if n in wanted}
    there = [path for path in files if path.exists()]
    if there and not args.force:
        raise CaffeliteError(
            *(Problem(f"{path}: exists already") for path in there[:-1]),
            Problem(f"{there[-1]}: exists already", hint="--force replaces it"),
        )
    Path(args.folder).mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    print("\n".join(next_steps(example, Path(args.folder))))
    return 0


def listing() -> list[str]:
    """A line or more for each example."""
    width = columns()
    lines = []
    name = 2 + max(len(example.name) for example in examples().values())
    for example in examples().values():
        about = textwrap.wrap(example.about, max(20, width - name - 2))
        if width < 60:
            lines += [example.name, *textwrap.wrap(example.about, width - 4)]
            continue
        lines += [f"{example.name:<{name}}{about[0]}"]
        lines += [f"{'':<{name}}{line}" for line in about[1:]]
    return [*lines, "", "`caffelite new NAME` copies one here."]


def next_steps(example: Example, folder: Path) -> list[str]:
    """What to type now."""
    net = folder / example.net.name
    if not example.solvers:
        return [f"next: caffelite summary {net}"]
    text = example.net.read_text("utf-8")
    lines = []
    for name in ("mnist", "cifar10"):
        if f'"data/{name}/' in text:
            lines.append(f"caffelite data {name} data/{name}")
    lines.append(f"caffelite train {folder / example.solvers[0].name}")
    return [f"next: {lines[0]}", *(f"then: {line}" for line in lines[1:])]
