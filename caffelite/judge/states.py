"""The phases and stages that a net is checked in, and which mistakes of theirs count.

Stages exclude one another, or belong together, as their author knows and nobody else: so each
phase is tried with no stage, with the stages of each rule, and with all. A mistake counts unless
its layer stands without one in another of these states. What is fed from outside (a deploy net)
and stands in one phase need not stand in the other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from caffelite.errors import Problem
from caffelite.layers.base import layer_class
from caffelite.plan.graph import included, state_for
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter, NetState

MOST_SETS = 40
MOST_LAYERS = 100_000
"""So many sets of stages are tried, and no more than make so many layers."""
MOST_STAGES = 1000
"""All stages together are tried if they are so few."""


def states_of(net: NetParameter) -> list[NetState]:
    """Both phases, with none of the stages, those of each rule, and all of them; of very many sets
    of stages the first ones."""
    ordered = _sets_of(net)[: _most_sets(net)]
    return [state_for(net, phase, stages=list(names)) for phase in Phase for names in ordered]


def untried_sets(net: NetParameter) -> int:
    """How many sets of stages are not in `states_of`."""
    return max(0, len(_sets_of(net)) - _most_sets(net))


def _sets_of(net: NetParameter) -> list[tuple[str, ...]]:
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    sets = {(), *(tuple(sorted(rule.stage)) for rule in rules)}
    every = tuple(sorted({name for rule in rules for name in rule.stage}))
    if len(every) <= MOST_STAGES:
        sets.add(every)
    return sorted(sets, key=lambda names: (len(names), names))


def _most_sets(net: NetParameter) -> int:
    return max(2, min(MOST_SETS, MOST_LAYERS // max(1, 2 * len(net.layer))))


def has_source(net: NetParameter, state: NetState) -> bool:
    """Does any layer make data in this state? A file may be meant for one phase alone."""
    return any(not layer.bottom for layer in net.layer if included(layer, state))


def counting(
    net: NetParameter, state: NetState, found: Sequence[Problem], sound: Sequence[NetState]
) -> list[Problem]:
    """Those of a state's mistakes that count, beside the states that have none."""
    fed = _is_fed(net, state)
    others = [other for other in sound if fed or other.phase == state.phase]
    if not others:
        return list(found)
    placed = [(span, layer) for layer in net.layer if (span := layer.span()) is not None]
    placed.sort(key=lambda pair: pair[0].line)
    lines = [span.line for span, _ in placed]

    def stands(problem: Problem) -> bool:
        """Is the layer that the problem is in there in another state?"""
        place = problem.span
        at = bisect_right(lines, place.line) if place else 0
        if not place or not at or placed[at - 1][0].source is not place.source:
            return True
        return any(included(placed[at - 1][1], other) for other in others)

    return [problem for problem in found if not stands(problem)]


def _is_fed(net: NetParameter, state: NetState) -> bool:
    """Do all data come from outside in this state?"""
    kinds = [
        layer_class(layer) for layer in net.layer if included(layer, state) and not layer.bottom
    ]
    return any(kind and kind.fed for kind in kinds) and not any(
        kind is None or (kind.source and not kind.fed and not kind.lasting) for kind in kinds
    )
