"""What is computed and used by nobody."""

from __future__ import annotations

import difflib
import math

from caffelite.judge.doubt import Doubt
from caffelite.judge.reading import at_top, at_type, called, learned, trains
from caffelite.judge.rules import Found, of_plan
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node
from caffelite.schema.common import Phase

ALIKE = 0.75
"""Two names as close as this may be one, misspelt."""


@of_plan("idle-loss", "a loss that reaches no parameter")
def idle_loss(plan: Plan) -> Found:
    """Its gradient goes nowhere."""
    if not trains(plan) or not any(True for _ in learned(plan)):
        return
    for version in plan.loss_weights:
        node = version.maker
        if node.cls.loss and not plan.needs[node.index].backward:
            yield Doubt(
                f"no parameter is learned from {called(node)}",
                at_type(node),
                "every layer between the data and this loss is without parameters, or frozen",
                "connect it to the net that is to learn, or give it loss_weight: 0",
            )


@of_plan("unread-branch", "layers that no loss depends on")
def unread_branch(plan: Plan) -> Found:
    """The ends of what is computed in training, and no loss reads."""
    if not trains(plan) or not any(need.backward for need in plan.needs):
        return
    idle: set[int] = set()  # layers that learn nothing, and those before them on a dead way
    for node in reversed(plan.graph.nodes):
        if any(reader.index in idle for top in node.tops for reader, _ in top.readers):
            idle.add(node.index)
            continue
        if plan.needs[node.index].backward or _is_wanted(plan, node) or not node.tops:
            continue
        if _learns(plan, node) or not any(top.readers for top in node.tops):
            idle.add(node.index)
            if _bypassed(plan, node) is None:
                yield Doubt(
                    f"no loss depends on {called(node)}",
                    at_type(node),
                    f'it is computed in every iteration, and nothing is learned from "'
                    f'{node.tops[0].name}"',
                    "connect it to a loss, leave it out (include { phase: TEST }), or read it with "
                    "a Silence layer",
                )


def _is_wanted(plan: Plan, node: Node) -> bool:
    """Is a layer that nobody reads there to be looked at?"""
    cls = node.cls
    small = all(math.prod(plan.shapes[top]) <= 1 for top in node.tops)
    watched = cls.loss or cls.compares or cls.gives_probability or cls.higher_is_better is not None
    return cls.source or watched or small


def _learns(plan: Plan, node: Node) -> bool:
    return any(u.param.lr_mult and not u.param.declared.fixed for u in plan.uses[node.index])


@of_plan("bypassed", "a layer that could work in place, and is passed by")
def bypassed(plan: Plan) -> Found:
    """`top: "covn1"` where `top: "conv1"` was meant."""
    for node in plan.graph.nodes:
        reader = _bypassed(plan, node)
        if reader is None:
            continue
        top, bottom = node.tops[0], node.bottoms[0]
        alike = difflib.SequenceMatcher(None, top.name, bottom.name).ratio() >= ALIKE
        yield Doubt(
            f'nothing reads "{top.name}" of {called(node)}: layer "{reader.spec.name}" reads '
            f'"{bottom.name}", as it was before',
            at_top(top),
            "the layer has no effect on the net's result",
            f'is it misspelt? top: "{bottom.name}" works in place'
            if alike
            else f'to work in place: top: "{bottom.name}"; or let "{reader.spec.name}" read '
            f'"{top.name}"',
        )


def _bypassed(plan: Plan, node: Node) -> Node | None:
    """The layer that reads past this one, if one does so by mistake."""
    if len(node.bottoms) != 1 or len(node.tops) != 1:
        return None
    top, bottom = node.tops[0], node.bottoms[0]
    layer = plan.layers[node.index]
    if top.readers or top.previous is not None or not layer.in_place or node.cls.gives_probability:
        return None
    last = bottom.readers[-1][0]  # readers stand in their order
    if last.index <= node.index or bottom.maker.cls.source:
        return None
    alike = difflib.SequenceMatcher(None, top.name, bottom.name).ratio() >= ALIKE
    return last if alike or trains(plan) else None


@of_plan("unread-input", "an input that no layer reads")
def unread_input(plan: Plan) -> Found:
    """A label that was left in a net that is to be used."""
    for node in plan.graph.nodes:
        for top in node.tops if node.cls.fed and plan.context.phase == Phase.TEST else ():
            if not top.readers and top.previous is None and len(plan.graph.nodes) > 1:
                yield Doubt(
                    f'no layer reads the input "{top.name}"',
                    at_top(top),
                    "whoever uses the net has to fill it, and it changes nothing",
                    "remove it; if it is a label: a net that is used needs none",
                )
