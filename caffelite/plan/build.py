"""From a graph to a plan: layers that have been set up, shapes, parameters, who needs a gradient.

A plan is a value: nothing changes it once it is built, and it holds no arrays and no open files,
so `caffelite check` can plan a net of any size. What runs it (`caffelite.run`) makes running
copies of its layers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from caffelite.blob import Shape
from caffelite.collecting import no_collection
from caffelite.errors import CaffeliteError, NetError, Problem
from caffelite.layers.base import Context, Layer
from caffelite.plan.exchanged import explained
from caffelite.plan.gradients import Need, find_gradients
from caffelite.plan.graph import Graph, Node, Version, build_graph, plural
from caffelite.plan.params import Param, Sharing, Use
from caffelite.plan.shapes import infer_node
from caffelite.schema.net import NetParameter, NetState


@dataclass(frozen=True, eq=False)
class Plan:
    """A net that could be allocated."""

    graph: Graph
    context: Context
    layers: tuple[Layer, ...]
    """One for each node, set up; never run."""
    shapes: Mapping[Version, Shape]
    params: tuple[Param, ...]
    """Owners, in order; what the solver updates."""
    uses: tuple[tuple[Use, ...], ...]
    """For each layer its parameters."""
    loss_weights: Mapping[Version, float]
    needs: tuple[Need, ...]
    """For each layer what its backward pass computes."""
    absent: Mapping[int, Sequence[Problem]] = field(default_factory=dict)
    """Of sources, by index, whose data is not here: what is missing. Their shapes are assumed, and
    the plan cannot be run."""

    @property
    def count(self) -> int:
        """How many numbers are learned: shared ones once, BatchNorm's statistics not at all."""
        return sum(math.prod(p.shape) for p in self.params if not p.declared.fixed)

    @cached_property
    def user_counts(self) -> Mapping[Param, int]:
        """How many layers use each parameter."""
        return Counter(use.param for uses in self.uses for use in uses)

    def shares(self, node: Node) -> bool:
        """Does another layer use any of this layer's parameters, or it one of them twice?"""
        return any(self.user_counts[use.param] > 1 for use in self.uses[node.index])

    def with_shapes(self, shapes: Mapping[Version, Shape]) -> Plan:
        """The same net with blobs of other shapes."""
        return replace(self, shapes=MappingProxyType(dict(shapes)))

    def contributors(self, version: Version) -> list[tuple[Node, int]]:
        """The readers that pass a gradient to this version, in the order they run backward."""
        found = [
            (n, i)
            for n, i in version.readers
            if self.needs[n.index].bottoms[i] and self.needs[n.index].backward
        ]
        return sorted(found, key=lambda reader: (-reader[0].index, reader[1]))

    def work(self) -> int:
        """Multiply-adds of one forward pass."""
        return sum(self.node_work(node) for node in self.graph.nodes)

    def node_work(self, node: Node) -> int:
        """Multiply-adds of one layer's forward pass."""
        bottom, top = ([self.shapes[v] for v in ends] for ends in (node.bottoms, node.tops))
        if any(0 in shape for shape in (*bottom, *top)):
            return 0
        return self.layers[node.index].multiply_adds(bottom, top)


StandIn = Callable[[Node], "Sequence[Shape] | None"]
"""The shapes to assume for the tops of a source whose data is not here; None: not known."""


@no_collection()
def plan_net(net: NetParameter, state: NetState, context: Context) -> Plan:
    """Wire a net and plan it. Raises NetError with every mistake, of wiring and of shapes."""
    problems: list[Problem] = []
    graph = build_graph(net, state, problems)
    return build_plan(graph, context, net.force_backward, problems)


def build_plan(
    graph: Graph,
    context: Context,
    force_backward: bool = False,
    wiring: Iterable[Problem] = (),
    stand_in: StandIn | None = None,
) -> Plan:
    """Make the layers, infer all shapes, share parameters, find who needs gradients. Raises
    NetError with every mistake, those of the `wiring` too; a layer behind a mistake is not
    judged. With a `stand_in` data that is not here is no mistake."""
    problems = list(wiring)
    absent: dict[int, list[Problem]] = {}
    layers: list[Layer] = []
    shapes: dict[Version, Shape] = {}
    weights: dict[Version, float] = {}
    sharing = Sharing()
    for node in graph.nodes:
        layer = node.cls(node.spec, context)
        layers.append(layer)
        if not node.sound or any(v not in shapes for v in node.bottoms):
            sharing.skip()  # refused already, or behind a layer that was refused
            continue
        try:
            layer.setup([shapes[v] for v in node.bottoms])
            infer_node(node, layer, shapes)
            weights.update(_loss_weights(node, layer))
            sharing.add(layer)
        except CaffeliteError as error:
            assumed = stand_in(node) if stand_in and _only_absent(error) else None
            if assumed is None:
                problems.extend(explained(error.problems, node, shapes))
            else:
                absent[node.index] = error.problems
                shapes.update(zip(node.tops, assumed))
                sharing.add(layer)
    if problems:
        raise NetError(*problems)
    uses = sharing.uses()
    needs: tuple[Need, ...] = ()
    if all(node.sound for node in graph.nodes):  # else the text has been refused already
        needs = find_gradients(graph.nodes, layers, uses, weights, force_backward)
    return Plan(
        graph,
        context,
        tuple(layers),
        MappingProxyType(shapes),
        sharing.params(),
        uses,
        MappingProxyType(weights),
        needs,
        MappingProxyType(absent),
    )


def _only_absent(error: CaffeliteError) -> bool:
    return all(problem.absent for problem in error.problems)


def _loss_weights(node: Node, layer: Layer) -> dict[Version, float]:
    """The weights with which a layer's tops count in the objective, where they do."""
    weights = list(node.spec.loss_weight)
    if weights and len(weights) != len(node.tops):
        layer.fail(
            f"{len(weights)} loss_weight for {plural(len(node.tops), 'top')}",
            "loss_weight",
            expected="one for each top, or none",
        )
    if not weights and layer.loss:
        weights = [1.0]
    return {version: weight for version, weight in zip(node.tops, weights) if weight}
