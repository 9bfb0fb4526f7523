"""The programs of a net: its forward and its backward pass, whole or from one layer to another."""

from __future__ import annotations

from collections.abc import Iterator

from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version
from caffelite.plan.params import Param
from caffelite.run.placement import Placement
from caffelite.run.program import (
    DIFF,
    Add,
    Backward,
    Fill,
    Forward,
    Program,
    Step,
    Value,
    data_of,
    diff_of,
)


def forward_program(placement: Placement, first: int, last: int) -> Program:
    """The forward pass of the layers `first` to `last`."""
    nodes = placement.plan.graph.nodes
    part = nodes[first : last + 1]
    whole = len(part) == len(nodes)
    steps: list[Step] = [] if whole else [*placement.before(part)]
    for node in part:
        if node.cls.fed:
            steps += placement.fed(node)
        else:
            steps.append(Forward(node, data_of(node.bottoms), data_of(node.tops)))
    if not whole:
        steps += placement.after(part)
    return tuple(steps)


def backward_program(plan: Plan, first: int, last: int) -> Program:
    """The backward pass from the layer `first` down to the layer `last`.

    A layer overwrites its bottoms' gradients. Where several layers read a blob, the one that runs
    first writes the blob's gradient, and each other one writes a share that is added to it."""
    part = [n for n in plan.graph.nodes[last : first + 1] if plan.needs[n.index].backward]
    opening = {v: _first_writer(plan, v, first) for n in part for v in n.bottoms}
    steps: list[Step] = []
    for node in reversed(part):
        steps += _node_steps(plan, node, opening)
    return tuple(steps)


def _first_writer(plan: Plan, version: Version, start: int) -> tuple[Node, int] | None:
    """The reader that passes the first gradient to a version, in a pass that begins at `start`."""
    writers = plan.contributors(version)
    return next((writer for writer in writers if writer[0].index <= start), None)


def _node_steps(
    plan: Plan, node: Node, opening: dict[Version, tuple[Node, int] | None]
) -> Iterator[Step]:
    need, layer = plan.needs[node.index], plan.layers[node.index]
    shares: list[Value] = []
    bottom_diffs: list[Value | None] = []
    for i, version in enumerate(node.bottoms):
        if not need.bottoms[i]:
            bottom_diffs.append(None)
            continue
        first = opening[version] == (node, i)
        weight = plan.loss_weights.get(version)
        if first and weight:
            # a loss that other layers read: its weight comes first, theirs are added
            yield Fill(Value(version, DIFF), weight)
        if first and not weight:
            bottom_diffs.append(Value(version, DIFF))
        else:
            shares.append(Value(version, DIFF, len(shares) + 1))
            bottom_diffs.append(shares[-1])
    tops, top_diffs, bottoms = data_of(node.tops), diff_of(node.tops), data_of(node.bottoms)
    reads = [*top_diffs]
    reads += tops if "top" in layer.backward_reads else ()
    reads += bottoms if "bottom" in layer.backward_reads else ()
    yield Backward(node, tops, top_diffs, bottoms, tuple(bottom_diffs), tuple(reads))
    for share in shares:
        yield Add(Value(share.version, DIFF), share)


def not_overwritten(plan: Plan, program: Program) -> list[Param]:
    """The parameters whose gradients a backward program does not write anew, but adds to or
    leaves: where the gradients were cleared these have to be set to zero first."""
    written: set[Param] = set()
    for step in program:
        if isinstance(step, Backward) and plan.layers[step.node.index].overwrites:
            uses, need = plan.uses[step.node.index], plan.needs[step.node.index]
            if not plan.shares(step.node):  # else it adds to all of its parameters
                written.update(use.param for use, learns in zip(uses, need.learns) if learns)
    return [p for p in plan.params if p not in written]
