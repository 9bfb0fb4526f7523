"""Questions that several rules ask of a plan."""

from __future__ import annotations

from collections.abc import Iterator

from caffelite.errors import Span
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version
from caffelite.plan.params import Use
from caffelite.schema.common import Phase


def trains(plan: Plan) -> bool:
    """Is it a net in training: with a loss, and with something to learn?"""
    return plan.context.phase == Phase.TRAIN and has_loss(plan) and plan.count > 0


def has_loss(plan: Plan) -> bool:
    """Does anything count in the objective?"""
    return bool(plan.loss_weights)


def origin(version: Version) -> Version:
    """Where a blob's values were made: behind layers that only reshape or reorder them."""
    while version.maker.cls.rearranges and version.maker.bottoms:
        version = version.maker.bottoms[0]
    return version


def called(node: Node) -> str:
    """A layer for messages: layer "ip1" (InnerProduct)."""
    return f'layer "{node.spec.name}" ({node.spec.type})'


def at_type(node: Node) -> Span | None:
    """The place of a layer's type."""
    return node.spec.span("type")


def at_top(version: Version) -> Span | None:
    """The place where a layer names this top."""
    return version.maker.spec.span("top", version.top_index)


def learned(plan: Plan) -> Iterator[tuple[Node, int, Use]]:
    """The parameters that a solver changes, each where it comes first: layer, number, use."""
    seen = set()
    for node in plan.graph.nodes:
        for i, use in enumerate(plan.uses[node.index]):
            if use.param.lr_mult and not use.param.declared.fixed and use.param not in seen:
                seen.add(use.param)
                yield node, i, use


def has_weights(plan: Plan, node: Node) -> bool:
    """Does the layer multiply by learned weights, as InnerProduct and Convolution do?"""
    return bool(plan.uses[node.index]) and plan.node_work(node) > 0
