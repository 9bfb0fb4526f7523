"""What stands in front of a loss."""

from __future__ import annotations

from collections.abc import Iterator

from caffelite.judge.doubt import Doubt
from caffelite.judge.reading import at_type, called, has_weights, origin
from caffelite.judge.rules import Found, of_plan
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node


def fed(plan: Plan, fact: str) -> Iterator[tuple[Node, Node]]:
    """The layers of which a fact holds, each with the layer that makes its first bottom."""
    for node in plan.graph.nodes:
        if getattr(node.cls, fact) and node.bottoms:
            yield node, origin(node.bottoms[0]).maker


@of_plan("softmax-twice", "a layer that gives probabilities, before a loss that makes them itself")
def softmax_twice(plan: Plan) -> Found:
    """SoftmaxWithLoss and its relatives take scores."""
    for node, maker in fed(plan, "prediction"):
        if maker.cls.gives_probability and maker.bottoms:
            yield Doubt(
                f"{called(maker)} comes before {called(node)}, which applies "
                f"{node.cls.prediction} itself",
                at_type(maker),
                "it takes scores: of probabilities its gradient is small, and it cannot reach 0",
                f'give the loss the scores, bottom: "{maker.bottoms[0].name}"',
            )


@of_plan("relu-before-loss", "a ReLU between the last layer with weights and a loss")
def relu_before_loss(plan: Plan) -> Found:
    """A score below 0 is as good as one above it."""
    for node, maker in fed(plan, "prediction"):
        if not maker.cls.rectifies or not maker.bottoms:
            continue
        scores = origin(maker.bottoms[0]).maker
        if has_weights(plan, scores):
            yield Doubt(
                f"{called(maker)} cuts off the negative scores of {called(scores)} before "
                f"{called(node)}",
                at_type(maker),
                "where a score is cut off no gradient comes back, and that class stops learning",
                f'remove layer "{maker.spec.name}"; a loss takes scores of either sign',
            )


@of_plan("scores-as-probabilities", "a loss of probabilities that is given plain scores")
def scores_as_probabilities(plan: Plan) -> Found:
    """The logarithm of a score is no loss."""
    for node, maker in fed(plan, "reads_probability"):
        if has_weights(plan, maker):
            yield Doubt(
                f"{called(node)} takes probabilities, and gets the scores of {called(maker)}",
                at_type(node),
                "it is the logarithm of what it is given: scores may be negative or above 1",
                "put a Softmax between them, or use SoftmaxWithLoss",
            )
