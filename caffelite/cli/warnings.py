"""Warnings on the terminal, and the argument that leaves some out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from caffelite.cli.console import show
from caffelite.cli.help import UsageError
from caffelite.errors import Problem, did_you_mean

if TYPE_CHECKING:
    from caffelite.judge import Doubt

FEW = 3
"""Warnings of one name that are printed for a file; of the rest their number is."""


def add_allow_argument(parser: argparse.ArgumentParser) -> None:
    """`--allow NAME,NAME`."""
    parser.add_argument(
        "--allow",
        metavar="NAME",
        action="append",
        default=[],
        help="leave out warnings of these names, separated by commas",
    )


def allowed_names(args: argparse.Namespace) -> set[str]:
    """What --allow names. Raises UsageError for a name that no warning has."""
    from caffelite.judge import NAMES  # not at the top: help needs none of it

    names = {name.strip() for group in args.allow for name in group.split(",") if name.strip()}
    unknown = sorted(names - NAMES.keys())
    if unknown:
        hint = did_you_mean(unknown[0], NAMES) or "`caffelite check --names` lists them"
        raise UsageError(Problem(f'there is no warning "{unknown[0]}"', hint=hint))
    return names


def warn(doubts: Sequence[Doubt]) -> None:
    """Warnings on stderr: of those of one name in one file a few, and how many more there are."""
    groups: dict[tuple[str, str], list[Doubt]] = {}
    for doubt in doubts:
        file = doubt.span.source.name if doubt.span else ""
        groups.setdefault((file, doubt.name), []).append(doubt)
    shown: list[Problem | str] = []
    for (file, name), group in groups.items():
        shown += [doubt.problem() for doubt in group[:FEW]]
        if len(group) > FEW:
            shown.append(f"{file}: {len(group) - FEW} more warnings [{name}]")
    show(shown, "bold yellow", "yellow")
    if shown:
        print(file=sys.stderr)
