"""How two nets, two solvers or two files of parameters differ."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import CaffeliteError, Problem
from caffelite.files import is_solver, load_net, load_solver
from caffelite.layers.base import Context
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import state_for
from caffelite.report.render import shape
from caffelite.report.table import Column, table
from caffelite.schema.common import Phase
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.text import parse, read_source
from caffelite.weights import read_weights, same_shape


@dataclass(frozen=True)
class Change:
    """One field that differs; None where there is none."""

    field: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"+ {self.field}: {self.new}"
        return (
            f"- {self.field}: {self.old}"
            if self.new is None
            else (f"  {self.field}: {self.old} -> {self.new}")
        )


@dataclass
class Difference:
    """What differs between two texts."""

    old: str
    new: str
    fields: list[Change] = field(default_factory=list)
    """Outside of layers."""
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    changed: dict[str, list[Change]] = field(default_factory=dict)
    """By layer: its fields, and the shapes of its tops and parameters where both are known."""
    moved: list[str] = field(default_factory=list)
    """Layers in another order than before."""
    parameters: tuple[int, int] | None = None
    """Of both nets, where both can be planned."""

    def __bool__(self) -> bool:
        return bool(self.fields or self.removed or self.added or self.changed or self.moved)

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"--- {self.old}", f"+++ {self.new}", *map(str, self.fields)]
        lines += [f"- layer {name}" for name in self.removed]
        lines += [f"+ layer {name}" for name in self.added]
        lines += [f"  layer {name} stands elsewhere" for name in self.moved]
        for name, changes in self.changed.items():
            lines += [f"  layer {name}", *(f"    {change}" for change in changes)]
        if self.parameters and self.parameters[0] != self.parameters[1]:
            lines.append("{:,} -> {:,} parameters".format(*self.parameters))
        return "\n".join(lines)


def text_difference(old: str, new: str) -> Difference:
    """Two nets or two solvers, by what they say: comments, layout and the order of fields do not
    matter. Raises CaffeliteError if one is a net and the other a solver."""
    kinds = [is_solver(parse(read_source(path))) for path in (old, new)]
    if kinds[0] != kinds[1]:
        names = ["a solver" if kind else "a net" for kind in kinds]
        raise CaffeliteError(
            Problem(f"{old} is {names[0]}, and {new} is {names[1]}", expected="two of one kind")
        )
    found = Difference(old, new)
    if kinds[0]:
        found.fields = _changes(load_solver(old), load_solver(new))
        return found
    nets = load_net(old), load_net(new)
    bare = [_without_layers(net) for net in nets]
    found.fields = _changes(*bare)
    before, after = (_by_name(net) for net in nets)
    found.removed = [_called(before[key]) for key in before if key not in after]
    found.added = [_called(after[key]) for key in after if key not in before]
    plans = [_plans(net, path) for net, path in zip(nets, (old, new))]
    for key in (k for k in before if k in after):
        changes = _changes(before[key], after[key])
        changes += _shape_changes(before[key].name, *plans)
        if changes:
            found.changed[_called(after[key])] = changes
    common = [key for key in before if key in after]
    others = [key for key in after if key in before]
    if common != others:
        found.moved = [_called(after[a]) for a, b in zip(others, common) if a != b]
    if all(plans):
        found.parameters = (plans[0][0].count, plans[1][0].count)
    return found


def _without_layers(net: NetParameter) -> NetParameter:
    bare = net.copy()
    bare.layer = []
    return bare


def _by_name(net: NetParameter) -> dict[tuple[str, int], LayerParameter]:
    """Layers by name; of those of one name the second, third … by its place among them."""
    found: dict[tuple[str, int], LayerParameter] = {}
    for layer in net.layer:
        index = 0
        while (layer.name, index) in found:
            index += 1
        found[layer.name, index] = layer
    return found


def _called(layer: LayerParameter) -> str:
    return f"{layer.name or '(no name)'} ({layer.type})"


def _changes(old: Message, new: Message) -> list[Change]:
    before, after = dict(_flat(old, "")), dict(_flat(new, ""))
    return [
        Change(name, before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _flat(message: Message, at: str) -> Iterator[tuple[str, str]]:
    """The single values of a message, by their path."""
    for spec, value in message.set_fields():
        items = list(value) if spec.repeated else [value]
        for i, item in enumerate(items):
            name = f"{at}{spec.name}" + (f"[{i}]" if len(items) > 1 else "")
            if isinstance(item, Message):
                yield from _flat(item, f"{name}.")
            else:
                one = type(message)(**{spec.name: item})
                yield name, str(one).split(": ", 1)[1].rstrip("\n")


def _plans(net: NetParameter, path: str) -> list[Plan]:
    """The net's plan in TRAIN, or else in TEST; none where its data are missing."""
    for phase in (Phase.TRAIN, Phase.TEST):
        try:
            context = Context(phase, folder=os.path.dirname(path))
            plan = plan_net(net, state_for(net, phase), context)
        except CaffeliteError:
            continue
        if plan.layers:
            return [plan]
    return []


def _shape_changes(name: str, old: list[Plan], new: list[Plan]) -> list[Change]:
    if not old or not new:
        return []
    (a, b) = (_shapes(plans[0], name) for plans in (old, new))
    return [Change(what, a[what], b[what]) for what in a if what in b and a[what] != b[what]]


def _shapes(plan: Plan, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for node, layer in zip(plan.graph.nodes, plan.layers):
        if layer.name == name:
            found |= {f"shape of {v.name}": shape(plan.shapes[v]) for v in node.tops}
            found |= {
                f"shape of parameter {i}": shape(d.shape) for i, d in enumerate(layer.declared)
            }
    return found


@dataclass(frozen=True)
class Parameter:
    """One parameter in two files; a shape of None: it is not there."""

    layer: str
    index: int
    old: Shape | None
    new: Shape | None
    largest: float | None = None
    """The largest difference of a value; None where shapes differ."""
    mean: float | None = None
    """The mean of the differences' sizes."""
    scale: float | None = None
    """The largest value in the old file."""

    def same(self, tolerance: float) -> bool:
        """Do all values differ by no more than this?"""
        return self.largest is not None and self.largest <= tolerance


def weight_difference(old: str, new: str) -> list[Parameter]:
    """Every parameter of two files (.caffemodel, .h5), by layer name. Shapes in Caffe's old four
    extents are the same as those without them."""
    return list(_compared(read_weights(old), read_weights(new)))


def _compared(
    old: Mapping[str, Sequence[Array | None]], new: Mapping[str, Sequence[Array | None]]
) -> Iterator[Parameter]:
    for name in dict.fromkeys([*old, *new]):
        first, second = list(old.get(name, [])), list(new.get(name, []))
        for i in range(max(len(first), len(second))):
            a = first[i] if i < len(first) else None
            b = second[i] if i < len(second) else None
            shapes = (None if a is None else a.shape, None if b is None else b.shape)
            alike = a is not None and b is not None and a.size == b.size
            if (
                not alike
                or a is None
                or b is None
                or not (same_shape(a.shape, b.shape) or same_shape(b.shape, a.shape))
            ):
                yield Parameter(name, i, shapes[0], shapes[1])
                continue
            gap = np.abs(a.ravel().astype(np.float64) - b.ravel())
            gap = np.where(np.isnan(gap), 0 if _both_nan(a, b) else np.inf, gap)
            largest, mean = (float(gap.max()), float(gap.mean())) if gap.size else (0.0, 0.0)
            scale = float(np.abs(a).max()) if a.size else 0.0
            yield Parameter(name, i, shapes[0], shapes[1], largest, mean, scale)


def _both_nan(a: Array, b: Array) -> bool:
    return bool((np.isnan(a.ravel()) == np.isnan(b.ravel())).all())


COLUMNS = [
    Column("layer", cut=True),
    Column("", right=True),
    Column("shape"),
    Column("largest", right=True),
    Column("of", right=True, gives_way=1),
    Column("mean", right=True, gives_way=2),
]


def weights_text(found: Sequence[Parameter], tolerance: float, width: int | None) -> str:
    """A table of the parameters that differ, and how many do not."""
    rows = []
    for p in found:
        if p.same(tolerance):
            continue
        numbers = ["", "", ""]
        if p.largest is not None and p.mean is not None and p.scale is not None:
            numbers = [f"{p.largest:.3g}", f"{p.scale:.3g}", f"{p.mean:.3g}"]
        rows.append([p.layer, str(p.index), _shapes_text(p), *numbers])
    same = len(found) - len(rows)
    count = sum(math.prod(p.old or p.new or ()) for p in found if p.same(tolerance))
    last = f"{same} of {len(found)} parameters are the same ({count:,} values)"
    if tolerance:
        last += f", up to {tolerance:g}"
    return "\n".join([*(table(COLUMNS, rows, width=width) if rows else []), last])


def _shapes_text(p: Parameter) -> str:
    if p.old is None or p.new is None:
        return (
            f"only in the {'new' if p.old is None else 'old'} file, {shape(p.new or p.old or ())}"
        )
    return shape(p.old) if p.old == p.new else f"{shape(p.old)} -> {shape(p.new)}"
