"""Judgement: what is legal in a net or a solver, and hardly meant.

A warning has a name, a place, a reason and a remedy. Each kind is a function of its own in a file
of this folder; a new one is found when it stands there:

    @of_plan("softmax-twice", "a Softmax in front of a loss that applies one itself")
    def softmax_twice(plan: Plan) -> Iterator[Doubt]: ...

`of_plan` rules see one planned net, `of_phases` rules all plans of a file or job, `of_job` rules a
checked solver. A warning is switched off by its name, on the command line (`--allow NAME`) or by a
comment in the file, `# allow: NAME`: beside or above the line that it points to, above the layer,
or above the first field for the whole file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterable, Sequence

from caffelite.judge.allow import allowed
from caffelite.judge.doubt import Doubt
from caffelite.judge.rules import JOB, NAMES, NET, PHASES, PLAN, Start
from caffelite.plan.build import Plan
from caffelite.schema.net import NetParameter
from caffelite.solver.job import Job

__all__ = ["NAMES", "Doubt", "Start", "judge_job", "judge_net"]

OF_FILLERS = ("zero-weights",)
"""Warnings of what parameters start from, where no file is read."""

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def judge_net(
    nets: Sequence[NetParameter], plans: Sequence[Plan], allow: Collection[str] = ()
) -> list[Doubt]:
    """What is doubtful in nets, planned in one or more phases; each warning once."""
    found = [doubt for rule in NET for net in nets for doubt in rule(net)]
    found += [doubt for rule in PLAN for plan in plans for doubt in rule(plan)]
    found += [doubt for rule in PHASES for doubt in rule(plans)]
    return _kept(found, allow)


def judge_job(job: Job, start: Start = Start.UNKNOWN, allow: Collection[str] = ()) -> list[Doubt]:
    """What is doubtful in a solver, and in its nets."""
    if start == Start.WEIGHTS:
        allow = {*allow, *OF_FILLERS}
    jobs = (job.train, *job.tests)
    nets = {id(net.param): net.param for net in jobs}  # most solvers name one net for all
    found = judge_net(list(nets.values()), [net.plan for net in jobs], allow)
    found += [doubt for rule in JOB for doubt in rule(job, start)]
    return _kept(found, allow)


def _kept(found: Iterable[Doubt], allow: Collection[str]) -> list[Doubt]:
    """Each once, without those that are switched off, in the order of the text."""
    once = {d: None for d in found if d.name not in allow and not allowed(d)}
    return sorted(once, key=_place)


def _place(doubt: Doubt) -> tuple[str, int, int]:
    span = doubt.span
    return (span.source.name, span.line, span.col) if span else ("", 0, 0)
