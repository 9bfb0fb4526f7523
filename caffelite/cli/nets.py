"""What commands that look at a net have in common: which net, in which phase, with which data."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caffelite.cli.console import add_plugin_argument, load_plugins
from caffelite.errors import CaffeliteError, Problem

if TYPE_CHECKING:
    from caffelite.net import Net
    from caffelite.plan.build import Plan
    from caffelite.report.unknown import LeftOut
    from caffelite.schema.net import NetParameter, NetState


def add_state_arguments(parser: argparse.ArgumentParser, phase: str | None = "TEST") -> None:
    """`--phase`, `--stage`, `--level`, `--shape`, `--plugin`."""
    shown = f"the net's phase (default: {phase})" if phase else "the net's phase (default: both)"
    parser.add_argument(
        "--phase", choices=["TRAIN", "TEST"], type=str.upper, default=phase, help=shown
    )
    parser.add_argument("--stage", metavar="A,B", default="", help="stages, separated by commas")
    parser.add_argument("--level", metavar="N", type=int, default=0, help="the net's level")
    add_stand_in_argument(parser)
    add_plugin_argument(parser)


def add_stand_in_argument(parser: argparse.ArgumentParser) -> None:
    """`--shape`, for commands that run or show a net."""
    parser.add_argument(
        "--shape",
        metavar="NAME=NxCxHxW",
        action="append",
        nargs="?",
        const="",
        help="random stand-in data of this shape for the input NAME; without a value for all data "
        "that are not here, of the shapes that the file says; may be repeated",
    )


def add_shape_argument(parser: argparse.ArgumentParser, help: str) -> None:
    """`--shape`, for commands that make a net whose inputs have these shapes."""
    parser.add_argument("--shape", metavar="NAME=NxCxHxW", action="append", default=[], help=help)


def stand_in_shapes(args: argparse.Namespace) -> dict[str, tuple[int, ...]] | None:
    """What `--shape` says; None where it is not given."""
    return None if args.shape is None else given_shapes(args)


def given_shapes(args: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """The shapes of `--shape`, by name."""
    from caffelite.report.inputs import read_shape

    return dict(read_shape(text) for text in args.shape if text)


def open_net(args: argparse.Namespace, path: str) -> tuple[NetParameter, list[NetState], str]:
    """The net file as the arguments ask for it, its states (one, or that of both phases where the
    arguments name none), and its folder."""
    load_plugins(args)
    from caffelite.files import load_net
    from caffelite.plan.graph import state_for
    from caffelite.schema.common import Phase

    net = load_net(path)
    stages = [stage for stage in args.stage.split(",") if stage]
    phases = [Phase[args.phase]] if args.phase else list(Phase)
    states = [state_for(net, phase, args.level, stages) for phase in phases]
    stated = stand_in_shapes(args)
    if stated is not None:
        from caffelite.report.standin import stand_in

        net = stand_in(net, states, stated, os.path.dirname(path))
    return net, states, os.path.dirname(path)


def plan_of(args: argparse.Namespace, path: str) -> tuple[Plan, LeftOut]:
    """The plan of a net file, and the layers that are not in it, for they are of unknown types or
    behind such. Where its data are missing, the error says how to do without."""
    from caffelite.layers.base import Context
    from caffelite.plan.build import plan_net
    from caffelite.report.unknown import known_part

    net, (state,), folder = open_net(args, path)
    net, left_out = known_part(net, state)
    with _saying_how_to_do_without(net, state):
        plan = plan_net(net, state, Context(state.phase, folder=folder))
    return plan, left_out


def net_of(args: argparse.Namespace, path: str, **keywords: Any) -> Net:
    """The net of a file, ready to run; `keywords` are those of Net."""
    net, (state,), folder = open_net(args, path)
    from caffelite.net import Net

    with _saying_how_to_do_without(net, state):
        stages = list(state.stage)
        return Net(net, state.phase, level=state.level, stages=stages, folder=folder, **keywords)


@contextmanager
def _saying_how_to_do_without(net: NetParameter, state: NetState) -> Iterator[None]:
    try:
        yield
    except CaffeliteError as error:
        problems = [_without_data(p, net, state) for p in error.problems]
        raise CaffeliteError(*problems) from None


def _without_data(problem: Problem, net: NetParameter, state: NetState) -> Problem:
    """With a word on --shape, where it is a file of data that is missing."""
    from caffelite.layers.base import layer_class
    from caffelite.plan.graph import included

    found = problem
    for spec in net.layer:
        cls = layer_class(spec)
        here, start = problem.span, spec.span()
        if here is None or start is None or cls is None or not cls.source or not spec.top:
            continue
        missing = problem.message.startswith("there is no") and included(spec, state)
        if missing and start.line <= here.line and start.source is here.source:
            last = f"or do without: --shape {spec.top[0]}=NxCxHxW"
            hint = f"{problem.hint}; {last}" if problem.hint else last
            found = replace(problem, hint=hint)
    return found
