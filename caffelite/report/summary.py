"""The table of a net: for each layer what it makes, learns, computes and keeps in memory.

    print(net.summary())
    net.summary().total.parameters

Memory is what the values themselves take, as if no two blobs shared an array except where a layer
works in place. *Inference* counts the tops; *training* adds their gradients, where there are any.
The totals add the learned parameters: once for inference; for training with their gradients and
one history of the solver. Of the blobs the total for inference counts only those that are needed at
the same time, at the worst moment; a net that keeps all of them to be looked at takes more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from caffelite.blob import Shape
from caffelite.plan.build import Plan
from caffelite.plan.graph import Version
from caffelite.plan.params import Param
from caffelite.plan.sharing import owners
from caffelite.report.render import html, text


@dataclass(frozen=True)
class Row:
    """One layer. Memory is in bytes."""

    name: str
    type: str
    tops: tuple[tuple[str, Shape | None], ...]
    """Names and shapes; None where a shape cannot be known."""
    parameters: int
    """Numbers of its own: learned or kept (statistics); shared ones count where they come first."""
    multiply_adds: int
    inference: int
    training: int
    in_place: bool = False
    """Does it write over its bottom?"""


@dataclass(frozen=True)
class Total:
    """The net as a whole. Memory is in bytes."""

    layers: int
    parameters: int
    """As `Row.parameters`, of all layers."""
    learned: int
    """Without statistics and the like."""
    multiply_adds: int
    inference: int
    training: int
    """0 for a net without gradients: it cannot be trained."""


@dataclass(frozen=True)
class Summary:
    """All rows and their total. `str()` gives the table, for a terminal of any width."""

    name: str
    phase: str
    itemsize: int
    rows: tuple[Row, ...]
    total: Total
    """Of the layers whose shapes are known."""
    unknown: tuple[str, ...] = ()
    """Types of layers that are not known."""

    def __str__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return html(self)


def summarise(plan: Plan, phase: str = "", itemsize: int = 4) -> Summary:
    """The summary of a planned net whose numbers take `itemsize` bytes."""
    rows = []
    seen: set[Param] = set()
    owner = owners(plan)
    graded = {v for v in plan.shapes if _has_gradient(plan, v)}
    for node, layer in zip(plan.graph.nodes, plan.layers):
        own = [use.param for use in plan.uses[node.index] if use.param not in seen]
        seen.update(own)
        made = [v for v in node.tops if owner[v] is v]
        values = sum(math.prod(plan.shapes[v]) for v in made)
        gradients = sum(math.prod(plan.shapes[v]) for v in made if v in graded)
        rows.append(
            Row(
                layer.name,
                layer.type,
                tuple((v.name, plan.shapes[v]) for v in node.tops),
                sum(math.prod(p.shape) for p in own),
                plan.node_work(node),
                values * itemsize,
                (values + gradients) * itemsize,
                any(owner[v] is not v for v in node.tops),
            )
        )
    parameters = sum(row.parameters for row in rows)
    total = Total(
        len(rows),
        parameters,
        plan.count,
        sum(row.multiply_adds for row in rows),
        (parameters + _peak(plan, owner)) * itemsize,
        (parameters + 2 * plan.count) * itemsize + sum(row.training for row in rows)
        if graded
        else 0,
    )
    return Summary(plan.graph.name or "net", phase, itemsize, tuple(rows), total)


def _has_gradient(plan: Plan, version: Version) -> bool:
    return version in plan.loss_weights or any(
        plan.needs[node.index].bottoms[i] for node, i in version.readers
    )


def _peak(plan: Plan, owner: Mapping[Version, Version]) -> int:
    """The most values that must be there at the same time in a forward pass."""
    last_use: dict[Version, int] = {}
    final = len(plan.graph.nodes)
    for version in plan.shapes:
        first = owner[version]
        ends = [node.index for node, _ in version.readers] or [final]
        last_use[first] = max(last_use.get(first, 0), *ends)
    change = [0] * (final + 2)
    for version, last in last_use.items():
        size = math.prod(plan.shapes[version])
        change[version.maker.index] += size
        change[last + 1] -= size
    peak = now = 0
    for step in change:
        now += step
        peak = max(peak, now)
    return peak
