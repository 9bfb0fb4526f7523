"""The rules, and how they are declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from functools import wraps
from typing import ParamSpec

from caffelite.judge.doubt import Doubt
from caffelite.plan.build import Plan
from caffelite.schema.net import NetParameter
from caffelite.solver.job import Job

A = ParamSpec("A")
Found = Iterator[Doubt]


class Start(Enum):
    """What a run starts from."""

    FILLERS = 0
    WEIGHTS = 1
    """Parameters of a file."""
    UNKNOWN = 2
    """The solver file names no weights, but a command line may."""


NAMES: dict[str, str] = {}
"""All warnings by name: what each is about."""
NET: list[Callable[[NetParameter], Found]] = []
PLAN: list[Callable[[Plan], Found]] = []
PHASES: list[Callable[[Sequence[Plan]], Found]] = []
JOB: list[Callable[[Job, Start], Found]] = []


def of_net(
    name: str, about: str
) -> Callable[[Callable[[NetParameter], Found]], Callable[[NetParameter], Found]]:
    """Declare a rule over a net as its text says it."""
    return lambda rule: _add(NET, _named(rule, name, about))


def of_plan(name: str, about: str) -> Callable[[Callable[[Plan], Found]], Callable[[Plan], Found]]:
    """Declare a rule over one planned net."""
    return lambda rule: _add(PLAN, _named(rule, name, about))


def of_phases(
    name: str, about: str
) -> Callable[[Callable[[Sequence[Plan]], Found]], Callable[[Sequence[Plan]], Found]]:
    """Declare a rule over all plans of a net: its phases and stages."""
    return lambda rule: _add(PHASES, _named(rule, name, about))


def of_job(
    name: str, about: str
) -> Callable[[Callable[[Job, Start], Found]], Callable[[Job, Start], Found]]:
    """Declare a rule over a checked solver."""
    return lambda rule: _add(JOB, _named(rule, name, about))


def _add(rules: list[Callable[A, Found]], rule: Callable[A, Found]) -> Callable[A, Found]:
    rules.append(rule)
    return rule


def _named(rule: Callable[A, Found], name: str, about: str) -> Callable[A, Found]:
    """The rule, its doubts given its name."""
    if NAMES.get(name, about) != about:
        raise ValueError(f'there is a warning "{name}" already')
    NAMES[name] = about

    @wraps(rule)
    def named(*args: A.args, **kwargs: A.kwargs) -> Found:
        return (replace(doubt, name=name) for doubt in rule(*args, **kwargs))

    return named
