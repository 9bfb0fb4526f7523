"""Checking a net or solver file: its mistakes, what is doubtful, the data that is not here."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from caffelite import judge
from caffelite.collecting import no_collection
from caffelite.errors import CaffeliteError, Problem
from caffelite.files import bind_block, doubt_log, is_solver, modern_net
from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import Start
from caffelite.layers.base import Context, layer_class
from caffelite.plan.build import Plan
from caffelite.plan.graph import included, state_for
from caffelite.plan.outline import outline_net
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter, NetState
from caffelite.schema.solver import SolverParameter
from caffelite.solver.job import plan_job
from caffelite.solver.mistakes import joined
from caffelite.text import parse, read_source

MOST_NAMES = 12
"""Outputs that are named in a line."""


@dataclass
class Report:
    """What was found in a file."""

    file: str
    mistakes: list[Problem] = field(default_factory=list)
    warnings: list[Doubt] = field(default_factory=list)
    absent: list[Problem] = field(default_factory=list)
    """Data that is not here."""
    says: list[str] = field(default_factory=list)
    """What the file asks for, a line each, if there is no mistake."""


@no_collection()
def check_file(name: str, data: bool = True, allow: Collection[str] = ()) -> Report:
    """Check a file. Nothing is run; without `data` no files of data are looked for. `allow` names
    warnings that are left out."""
    report = Report(name)
    problems: list[Problem] = []
    with doubts_as_warnings():
        try:
            block = parse(read_source(name))
            if is_solver(block):
                param = bind_block(block, SolverParameter, problems)
                _check_solver(param, report, data, allow)
            else:
                net = modern_net(bind_block(block, NetParameter, problems), name)
                _check_net(net, report, data, allow)
        except CaffeliteError as error:
            report.mistakes = error.problems
    report.mistakes = joined(problems, report.mistakes)
    if report.mistakes:  # what was read is not what was meant
        report.says, report.warnings = [], []
    return report


@contextmanager
def doubts_as_warnings() -> Iterator[None]:
    """Within, doubts about a net's text are no lines of the log: they are shown as warnings."""
    level = doubt_log.level
    doubt_log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        doubt_log.setLevel(level)


def _check_net(net: NetParameter, report: Report, data: bool, allow: Collection[str]) -> None:
    """Check a net in both phases, with none and with all of the stages that its rules name."""
    folder = os.path.dirname(report.file)
    states = list(_states(net))
    possible = [state for state in states if _has_source(net, state)] or states[:1]
    mistakes: dict[str, Problem] = {}
    absent: dict[str, Problem] = {}
    plans: list[Plan] = []
    for state in possible:
        context = Context(state.phase, folder=folder, data=data)
        try:
            plan = outline_net(net, state, context)
        except CaffeliteError as error:
            mistakes.update((str(problem), problem) for problem in error.problems)
            continue
        plans.append(plan)
        absent.update(_missing(plan))
        report.says.append(_line(plan, state))
    report.mistakes, report.absent = list(mistakes.values()), list(absent.values())
    skipped = dict.fromkeys(s.phase.name for s in states if s not in possible)
    if skipped and not mistakes:
        report.says.append(f"phase {' and '.join(skipped)}: no data layer, not checked")
    if not mistakes:
        report.warnings = judge.judge_net([net], plans, allow)


def _missing(plan: Plan) -> dict[str, Problem]:
    return {str(problem): problem for found in plan.absent.values() for problem in found}


def _states(net: NetParameter) -> Iterator[NetState]:
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    stages = sorted({name for rule in rules for name in rule.stage})
    for phase in Phase:
        yield state_for(net, phase)
        if stages:
            yield state_for(net, phase, stages=stages)


def _has_source(net: NetParameter, state: NetState) -> bool:
    """Does any layer make data in this state? A file may be meant for one phase alone."""
    kinds = [layer_class(layer) for layer in net.layer if included(layer, state)]
    return any(kind is None or kind.bottoms[0] == 0 for kind in kinds)


def _line(plan: Plan, state: NetState) -> str:
    stages = f" ({', '.join(state.stage)})" if state.stage else ""
    line = f"{state.phase.name}{stages}: {len(plan.layers)} layers"
    if not plan.absent:
        line += f", {plan.count:,} parameters"
    names = plan.graph.outputs
    shown = ", ".join(names[:MOST_NAMES]) or "none"
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"{line}, outputs {shown}{more}"


def _check_solver(
    param: SolverParameter, report: Report, data: bool, allow: Collection[str]
) -> None:
    """Check a solver, and the nets that it names in the states it builds them for."""
    job = plan_job(param, report.file, looks=True, data=data)
    length = f"{param.max_epoch:,} epochs" if param.max_epoch else f"{param.max_iter:,} iterations"
    if not (param.has("max_epoch") or param.has("max_iter")):
        length = "no max_iter (a program that steps needs none; `caffelite train` needs one)"
    report.says = [f"{job.rule.name}, {length}, lr {param.base_lr:g} {param.lr_policy}"]
    absent: dict[str, Problem] = {}
    for net in (job.train, *job.tests):
        report.says.append(_line(net.plan, net.state))
        absent.update(_missing(net.plan))
    report.says += job.notes
    report.absent = list(absent.values())
    start = Start.WEIGHTS if job.weights else Start.UNKNOWN
    report.warnings = judge.judge_job(job, start, allow)
