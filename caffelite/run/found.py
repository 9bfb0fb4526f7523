"""Shapes that a session finds while it runs a pass as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from caffelite.blob import Shape
from caffelite.plan.graph import Version

if TYPE_CHECKING:
    from caffelite.run.executor import Executor


def take_shapes(executor: Executor, found: Mapping[Version, Shape]) -> None:
    """Let the net's tops that depend on values have these shapes."""
    plan = executor.plan
    if any(plan.shapes[v] != shape for v, shape in found.items()):
        executor.plan = plan = plan.with_shapes({**plan.shapes, **found})
        for node in {version.maker.index: version.maker for version in found}.values():
            executor.layers[node.index].top_shapes = [plan.shapes[v] for v in node.tops]
