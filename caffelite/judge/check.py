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
from caffelite.judge.states import counting, has_source, states_of, untried_sets
from caffelite.layers.base import Context
from caffelite.plan.build import Plan
from caffelite.plan.outline import outline_net
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


@no_collection(old=True)
def check_file(name: str, data: bool = True, allow: Collection[str] = ()) -> Report:
    """Check a file. Nothing is run; without `data` no files of data are looked for. `allow` names
    warnings that are left out."""
    report = Report(name)
    problems: list[Problem] = []
    with doubts_as_warnings():
        try:
            block = parse(read_source(name))
            named_so = not block.fields and "solver" in os.path.basename(name)
            if named_so or is_solver(block):
                param = bind_block(block, SolverParameter, problems)
                _check_solver(param, report, data, allow)
            else:
                bound = bind_block(block, NetParameter, problems)
                net = modern_net(bound, name, copy=False)
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
    """Check a net in both phases, with the stages that its rules name; see `states.py`."""
    folder = os.path.dirname(report.file)
    states = states_of(net)
    possible = [state for state in states if has_source(net, state)] or states[:1]
    absent: dict[Problem, None] = {}
    sound: list[tuple[NetState, Plan]] = []
    wrong: list[tuple[NetState, list[Problem]]] = []
    for state in possible:
        try:
            plan = outline_net(net, state, Context(state.phase, folder=folder, data=data))
        except CaffeliteError as error:
            wrong.append((state, error.problems))
            continue
        sound.append((state, plan))
        absent.update(_missing(plan))
    good = [state for state, _ in sound]
    mistakes = {
        problem: None for state, found in wrong for problem in counting(net, state, found, good)
    }
    report.says += [_line(plan, state) for state, plan in sound]
    report.mistakes, report.absent = list(mistakes), list(absent)
    if not mistakes:
        other = {state.phase for state, _ in wrong} - {state.phase for state in good}
        report.says += [f"phase {phase.name}: this net is for the other phase" for phase in other]
        checked = {state.phase for state in possible}
        skipped = dict.fromkeys(s.phase.name for s in states if s.phase not in checked)
        if skipped:
            report.says.append(f"phase {' and '.join(skipped)}: no data layer, not checked")
        if untried := untried_sets(net):
            report.says.append(f"stages: {untried:,} of the sets that rules name, not checked")
        report.warnings = judge.judge_net([net], [plan for _, plan in sound], allow)


def _missing(plan: Plan) -> dict[Problem, None]:
    return {problem: None for found in plan.absent.values() for problem in found}


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
    absent: dict[Problem, None] = {}
    for net in (job.train, *job.tests):
        report.says.append(_line(net.plan, net.state))
        absent.update(_missing(net.plan))
    report.says += job.notes
    report.absent = list(absent)
    if not param.flawed:  # else the text says less than its author meant
        start = Start.WEIGHTS if job.weights else Start.UNKNOWN
        report.warnings = judge.judge_job(job, start, allow)
