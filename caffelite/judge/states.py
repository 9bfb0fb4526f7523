"""The phases and stages that a net is checked in, and which mistakes of theirs count.

Stages exclude one another, or belong together, as their author knows and nobody else: so each
phase is tried with no stage, with the stages of each rule, and with all. A mistake counts unless
its layer stands without one in another of these states. What is fed from outside (a deploy net)
and stands in one phase need not stand in the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.errors import Problem
from caffelite.layers.base import layer_class
from caffelite.plan.graph import included, state_for
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter, NetState


def states_of(net: NetParameter) -> list[NetState]:
    """Both phases, with none of the stages, those of each rule, and all of them."""
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    sets = {tuple(sorted(rule.stage)) for rule in rules}
    every = tuple(sorted({name for rule in rules for name in rule.stage}))
    ordered = sorted(sets | {(), every}, key=lambda names: (len(names), names))
    return [state_for(net, phase, stages=list(names)) for phase in Phase for names in ordered]


def has_source(net: NetParameter, state: NetState) -> bool:
    """Does any layer make data in this state? A file may be meant for one phase alone."""
    return any(not layer.bottom for layer in net.layer if included(layer, state))


def counting(
    net: NetParameter, state: NetState, found: Sequence[Problem], sound: Sequence[NetState]
) -> list[Problem]:
    """Those of a state's mistakes that count, beside the states that have none."""
    fed = _is_fed(net, state)
    others = [other for other in sound if fed or other.phase == state.phase]
    return [p for p in found if not any(_stands(net, p, other) for other in others)]


def _stands(net: NetParameter, problem: Problem, state: NetState) -> bool:
    """Is the layer that a problem is in there in a state?"""
    place, within = problem.span, None
    for layer in net.layer:
        start = layer.span()
        if place and start and start.source is place.source and start.line <= place.line:
            within = layer
    return within is None or included(within, state)


def _is_fed(net: NetParameter, state: NetState) -> bool:
    """Do all data come from outside in this state?"""
    kinds = [
        layer_class(layer) for layer in net.layer if included(layer, state) and not layer.bottom
    ]
    return any(kind and kind.fed for kind in kinds) and not any(
        kind is None or (kind.source and not kind.fed and not kind.lasting) for kind in kinds
    )
