"""Samples and labels of a source that stand in each other's place: seen when a layer refuses
them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from caffelite.blob import Shape
from caffelite.errors import Problem
from caffelite.plan.graph import Node, Version


def explained(
    problems: Sequence[Problem], node: Node, shapes: Mapping[Version, Shape]
) -> list[Problem]:
    """What a layer was refused for, with a word on it if what it reads looks exchanged."""
    hint = next(_hints(node, shapes), None)
    if hint is None or any(problem.hint for problem in problems):
        return list(problems)
    return [replace(problem, hint=hint) for problem in problems]


def _hints(node: Node, shapes: Mapping[Version, Shape]) -> Iterator[str]:
    for blob in node.bottoms[:1]:
        maker = blob.maker
        if not maker.cls.source or len(shapes.get(blob, ())) > 1:
            continue
        for other in maker.tops:
            if len(shapes.get(other, ())) > 2:
                yield (
                    f'"{blob.name}" of layer "{maker.spec.name}" holds one number a sample, and '
                    f'"{other.name}" holds more: are samples and labels exchanged?'
                )
