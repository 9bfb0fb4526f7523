"""Which blob of a net holds the scores of classes, and what they are held against."""

from __future__ import annotations

from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.plan.graph import Graph, Node, Version


def find_score(graph: Graph, name: str | None = None) -> tuple[Node | None, Version]:
    """The version with the scores, and the layer that holds it against labels, if there is one.

    Left out, `name` is what the accuracy or else the last loss compares with the label, or else
    the last output. Raises NetError if there is no such blob."""
    judges = [n for n in graph.nodes if n.cls.compares and n.bottoms[1:]]
    judges.sort(key=lambda node: not node.cls.loss)  # the last one counts
    if name is not None:
        if name not in graph.blobs:
            known = list(graph.blobs)
            raise NetError(
                Problem(
                    f'no blob "{name}"',
                    None,
                    "one of " + ", ".join(known),
                    did_you_mean(name, known),
                )
            )
        score = graph.blobs[name]
        judge = next((n for n in judges if n.bottoms[0] is score), None)
        return judge or (judges[-1] if judges else None), score
    if judges:
        losses = [n for n in judges if n.cls.loss]
        # An accuracy says which scores count, the loss on them what they mean.
        score = judges[-1].bottoms[0]
        return next((n for n in losses if n.bottoms[0] is score), judges[-1]), score
    return None, graph.blobs[graph.outputs[-1]]
