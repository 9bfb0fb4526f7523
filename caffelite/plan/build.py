"""From a graph to a plan: layers that know their shapes, who shares parameters, who needs a
gradient. Still no arrays, so `caffelite check` can do all this for a net of any size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from caffelite.blob import Shape
from caffelite.errors import CaffeliteError, NetError, Problem
from caffelite.fillers import check_filler
from caffelite.layers.base import MOST, Context, Declared, Layer, show
from caffelite.plan.graph import Graph, Node, Version, build_graph, plural
from caffelite.schema.net import DimCheckMode, NetParameter, NetState, ParamSpec


@dataclass(eq=False)
class Param:
    """One learned parameter; layers that share it by name point to one Param."""

    layer: Layer
    index: int
    declared: Declared
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    name: str = ""

    @property
    def shape(self) -> Shape:
        return self.declared.shape


@dataclass
class Plan:
    """A net that could be allocated."""

    graph: Graph
    layers: list[Layer]
    shapes: dict[Version, Shape]
    params: list[Param]
    """Owners, in order; what the solver updates."""
    layer_params: list[list[tuple[Param, Shape]]]
    """For each layer its parameters, and the shape it sees them in (permissive sharing)."""
    loss_weights: dict[Version, float]
    backward: list[bool] = field(default_factory=list)
    """Does the layer have a backward pass to run?"""
    wanted: list[list[bool]] = field(default_factory=list)
    """For each layer and bottom: is that gradient wanted?"""
    learns: list[list[bool]] = field(default_factory=list)
    """For each layer and parameter: is that gradient wanted?"""

    @property
    def count(self) -> int:
        """How many numbers are learned: shared ones once, BatchNorm's statistics not at all."""
        return sum(math.prod(p.shape) for p in self.params if not p.declared.fixed)


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
) -> Plan:
    """Make the layers, infer all shapes, share parameters, find who needs gradients. Raises
    NetError with every mistake, those of the `wiring` too; a layer behind a mistake is not
    judged."""
    plan = Plan(graph, [], {}, [], [], {})
    problems = list(wiring)
    shared: dict[str, Param] = {}
    for node in graph.nodes:
        layer = node.cls(node.spec, context)
        plan.layers.append(layer)
        plan.layer_params.append([])
        try:
            if _infer(node, layer, plan):
                _collect_params(layer, plan, shared)
        except CaffeliteError as error:
            problems.extend(error.problems)
    if problems:
        raise NetError(*problems)
    if all(node.sound for node in graph.nodes):  # else the text has been refused already
        find_gradients(plan, force_backward)
    return plan


def _infer(node: Node, layer: Layer, plan: Plan) -> bool:
    if not node.sound or any(v not in plan.shapes for v in node.bottoms):
        return False  # refused already, or behind a layer that was refused
    bottom = [plan.shapes[v] for v in node.bottoms]
    layer.setup(bottom)
    infer_shapes(node, layer, plan.shapes)
    _check_rewritten_inputs(node, layer, plan.shapes)
    weights = list(node.spec.loss_weight)
    if weights and len(weights) != len(node.tops):
        layer.fail(
            f"{len(weights)} loss_weight for {plural(len(node.tops), 'top')}",
            "loss_weight",
            expected="one for each top, or none",
        )
    if not weights and layer.loss:
        weights = [1.0]
    for version, weight in zip(node.tops, weights):
        if weight:
            plan.loss_weights[version] = weight
    return True


def _check_rewritten_inputs(node: Node, layer: Layer, shapes: dict[Version, Shape]) -> None:
    """An input is filled under its name, so a layer that rewrites it must keep its shape."""
    for i, version in enumerate(node.tops):
        old = version.previous
        while old is not None and old.previous is not None:
            old = old.previous
        if old is not None and old.maker.spec.type == "Input" and shapes[old] != shapes[version]:
            layer.fail(
                f'the input "{version.name}" is {show(shapes[old])}, but this top of the same name '
                f"is {show(shapes[version])}",
                "top",
                index=i,
                expected="a name of its own for a top of another shape",
            )


def infer_shapes(node: Node, layer: Layer, shapes: dict[Version, Shape]) -> None:
    """Ask the layer for its tops' shapes and note them."""
    layer.bottom_shapes = [shapes[v] for v in node.bottoms]
    layer.top_shapes = [tuple(s) for s in layer.reshape(layer.bottom_shapes)][: len(node.tops)]
    for i, (version, shape) in enumerate(zip(node.tops, layer.top_shapes)):
        if math.prod(shape) > MOST:
            layer.fail(
                f'top "{version.name}" would be {show(shape)}',
                "top",
                index=i,
                expected=f"at most {MOST} values",
            )
        shapes[version] = shape


def _collect_params(layer: Layer, plan: Plan, shared: dict[str, Param]) -> None:
    specs = list(layer.spec.param)
    if len(specs) > len(layer.declared):
        layer.fail(
            f"{len(specs)} param {{ }} for {plural(len(layer.declared), 'parameter')}",
            "param",
            expected=f"at most {len(layer.declared)}",
        )
    for declared in layer.declared:
        check_filler(declared.filler)
    mine = plan.layer_params[-1]
    for index, declared in enumerate(layer.declared):
        spec = specs[index] if index < len(specs) else ParamSpec()
        owner = shared.get(spec.name) if spec.name else None
        if owner is not None:
            _check_sharing(layer, index, declared.shape, spec, owner)
            mine.append((owner, declared.shape))
            continue
        if declared.fixed and spec.has("lr_mult") and spec.lr_mult != 0:
            layer.fail(
                f"parameter {index} is not learned, but has lr_mult {spec.lr_mult:g}",
                "param",
                expected="lr_mult: 0, or no param { } at all",
            )
        lr, decay = (0.0, 0.0) if declared.fixed else (spec.lr_mult, spec.decay_mult)
        param = Param(layer, index, declared, lr, decay, spec.name)
        plan.params.append(param)
        mine.append((param, declared.shape))
        if spec.name:
            shared[spec.name] = param


def _check_sharing(layer: Layer, index: int, shape: Shape, spec: ParamSpec, owner: Param) -> None:
    permissive = spec.share_mode == DimCheckMode.PERMISSIVE
    fits = math.prod(shape) == math.prod(owner.shape) if permissive else shape == owner.shape
    if not fits:
        layer.fail(
            f'parameter {index}, "{spec.name}", is {show(shape)}, but in layer '
            f'"{owner.layer.name}" it is {show(owner.shape)}',
            "param",
            expected="the same count" if permissive else "the same shape",
            hint=None
            if permissive or math.prod(shape) != math.prod(owner.shape)
            else "share_mode: PERMISSIVE allows the same count in another shape",
        )
    owner_spec = owner.layer.spec.param[owner.index]
    for mult in ("lr_mult", "decay_mult"):
        if not spec.has(mult):
            continue
        if owner_spec.has(mult) and owner_spec.get(mult) != spec.get(mult):
            layer.fail(
                f'parameter {index}, "{spec.name}", has {mult} {spec.get(mult):g}, but in layer '
                f'"{owner.layer.name}" {owner_spec.get(mult):g}',
                "param",
                expected=f"the same {mult}, or none",
            )
        setattr(owner, mult, spec.get(mult))


def find_gradients(plan: Plan, force: bool) -> None:
    """Decide which layers run backward and which bottoms get a gradient, as Caffe does.

    Forward: a blob needs a gradient if its maker learns or reads one that needs it.
    `propagate_down` adds or drops a bottom, but does not by itself make a layer run backward.
    Backward: only what leads to a loss is of use. With `force`, all that has a gradient."""
    nodes = plan.graph.nodes
    needs: set[Version] = set()
    for node, layer, params in zip(nodes, plan.layers, plan.layer_params):
        need = any(v in needs for v in node.bottoms) or any(p.lr_mult for p, _ in params)
        down = list(node.spec.propagate_down)
        wanted = []
        for i, version in enumerate(node.bottoms):
            want = down[i] if down else version in needs
            if want and down and not layer.propagates(i):
                layer.fail(
                    f'has no gradient for bottom "{version.name}"',
                    "propagate_down",
                    expected="false there",
                )
            wanted.append(want and layer.propagates(i))
        plan.backward.append(need)
        plan.wanted.append(wanted)
        if need:
            needs.update(node.tops)
    for node in reversed(nodes):
        leads = any(
            v in plan.loss_weights or any(plan.wanted[r.index][i] for r, i in v.readers)
            for v in node.tops
        )
        if not leads:
            plan.backward[node.index] = False
            plan.wanted[node.index] = [False] * len(node.bottoms)
    for node, layer in zip(nodes, plan.layers):
        i = node.index
        if force:
            plan.backward[i] = True
            plan.wanted[i] = [layer.propagates(k) for k in range(len(node.bottoms))]
        plan.learns.append(
            [p.lr_mult != 0 or (force and not p.declared.fixed) for p, _ in plan.layer_params[i]]
        )
        plan.backward[i] = plan.backward[i] and any([*plan.wanted[i], *plan.learns[i]])
