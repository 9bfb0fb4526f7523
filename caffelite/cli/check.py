"""Find every mistake in net and solver files: syntax, names and types, wiring, shapes, in all
phases and stages at once. Nothing is run.

  caffelite check nets/spiral.net solvers/spiral.solver
"""

from __future__ import annotations

import argparse
import os

from caffelite.cli.console import add_plugin_argument, complain, load_plugins
from caffelite.errors import CaffeliteError, Problem
from caffelite.files import bind_block, is_solver, modern_net
from caffelite.layers.base import Context, layer_class
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import included, state_for
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter, NetState
from caffelite.schema.solver import SolverParameter
from caffelite.solver.job import plan_job
from caffelite.solver.mistakes import joined
from caffelite.text import parse, read_source

GROUP = "look"
ORDER = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite check`."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="net or solver files")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Check all files; 1 if there is a mistake in any."""
    load_plugins(args)
    problems: list[Problem] = []
    for name in args.files:
        found, lines = check_file(name)
        if found:
            problems += found
            print(f"{name}: {len(found)} mistake{'s' if len(found) > 1 else ''}")
        else:
            print(f"{name}: {lines[0]}" if len(lines) == 1 else f"{name}:")
            for line in lines if len(lines) > 1 else []:
                print(f"    {line}")
    if problems:
        complain(CaffeliteError(*problems))
    return 1 if problems else 0


def check_file(name: str) -> tuple[list[Problem], list[str]]:
    """All problems of a file, and if there are none what it says, phase by phase."""
    folder = os.path.dirname(name)
    problems: list[Problem] = []
    try:
        block = parse(read_source(name))
        if is_solver(block):
            found, lines = check_solver(bind_block(block, SolverParameter, problems), name)
        else:
            net = modern_net(bind_block(block, NetParameter, problems), name)
            found, lines = check_net(net, folder)
    except CaffeliteError as error:
        found, lines = error.problems, []
    return joined(problems, found), lines


def check_net(net: NetParameter, folder: str) -> tuple[list[Problem], list[str]]:
    """Check a net in both phases, with none and with all of the stages that its rules name."""
    states = []
    stages = _stages(net)
    for phase in Phase:
        states.append(state_for(net, phase))
        if stages:
            states.append(state_for(net, phase, stages=stages))
    possible = [state for state in states if _has_source(net, state)] or states[:1]
    problems: dict[str, Problem] = {}
    lines = []
    for state in possible:
        found, line = _check_state(net, state, folder)
        problems.update({str(problem): problem for problem in found})
        lines.append(line)
    skipped = [s.phase.name for s in states if s not in possible]
    if skipped and not problems:
        lines.append(f"phase {' and '.join(dict.fromkeys(skipped))}: no data layer, not checked")
    return list(problems.values()), lines


def _stages(net: NetParameter) -> list[str]:
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    return sorted({name for rule in rules for name in rule.stage})


def _has_source(net: NetParameter, state: NetState) -> bool:
    """Does any layer make data in this state? A file may be meant for one phase alone."""
    kinds = [layer_class(layer) for layer in net.layer if included(layer, state)]
    return any(kind is None or kind.bottoms[0] == 0 for kind in kinds)


def _check_state(net: NetParameter, state: NetState, folder: str) -> tuple[list[Problem], str]:
    try:
        plan = plan_net(net, state, Context(state.phase, folder=folder))
    except CaffeliteError as error:
        return error.problems, ""
    return [], _line(plan, state)


def _line(plan: Plan, state: NetState) -> str:
    stages = f" ({', '.join(state.stage)})" if state.stage else ""
    line = f"{state.phase.name}{stages}: {len(plan.layers)} layers, {plan.count:,} parameters"
    return f"{line}, outputs {', '.join(plan.graph.outputs) or 'none'}"


def check_solver(param: SolverParameter, name: str) -> tuple[list[Problem], list[str]]:
    """Check a solver, and the nets that it names in the states it builds them for."""
    try:
        job = plan_job(param, name, looks=True)
    except CaffeliteError as error:
        return error.problems, []
    length = f"{param.max_epoch:,} epochs" if param.max_epoch else f"{param.max_iter:,} iterations"
    if not (param.has("max_epoch") or param.has("max_iter")):
        length = "no max_iter (a program that steps needs none; `caffelite train` needs one)"
    lines = [f"{job.rule.name}, {length}, lr {param.base_lr:g} {param.lr_policy}"]
    for net in (job.train, *job.tests):
        lines.append(_line(net.plan, net.state))
    return [], [*lines, *job.notes]
