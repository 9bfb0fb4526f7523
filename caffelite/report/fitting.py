"""Fitting: shapes of stand-in data that the file does not say, from the layers that read them.

A net is walked forward with the shapes that were guessed. Where a layer refuses its bottoms, the
shape that would suit it is worked out from its other bottoms or its fields, and led back to the
data: through layers that keep the shape, through slices, and through layers that make images
smaller or larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass

from caffelite.blob import Shape
from caffelite.errors import CaffeliteError
from caffelite.layers.base import Context
from caffelite.layers.regions import RegionLayer
from caffelite.plan.graph import Node, Version, build_graph
from caffelite.plan.shapes import infer_node
from caffelite.schema.net import NetParameter, NetState

ROUNDS = 16
"""How often a net is walked at most."""
Way = Callable[[Shape], "Shape | None"]
"""From the shape that a blob should have to that of the data behind it; None: there is no way."""


@dataclass
class Walk:
    """A net as far as its shapes are known, and what of the data each blob is made of."""

    shapes: dict[Version, Shape]
    ways: dict[Version, tuple[str, Way]]
    """Blobs that follow from one guessed top of the data: which, and the way back."""
    refused: list[Node]
    """Layers whose bottoms are known and do not suit them."""
    images: list[Shape]
    """Of data with four axes."""
    left: int = 0
    """How many layers refuse, or are behind one that does."""


def fitted(
    net: NetParameter,
    state: NetState,
    guesses: Mapping[str, Shape],
    held: Mapping[str, Container[int]],
    put: Callable[[str, Shape], None],
) -> None:
    """Change the guesses until the layers of this state take them, or as few as can be are left.
    `held` are a guess's axes whose extents stay. `put(name, shape)` gives a top of the stand-in
    data another shape in the net."""
    now, best = dict(guesses), dict(guesses)
    tried = set(now.items())
    fewest: int | None = None
    for _ in range(ROUNDS):
        walk = _walked(net, state, now)
        if fewest is None or walk.left < fewest:
            fewest, best = walk.left, dict(now)
        free = (
            (name, shape)
            for name, shape in _proposals(walk)
            if (name, shape) not in tried and _keeps(guesses[name], shape, held[name])
        )
        better = next(free, None)
        if better is None:
            break
        tried.add(better)
        now[better[0]] = better[1]
        put(*better)
    for name, shape in best.items():
        put(name, shape)


def _keeps(guess: Shape, shape: Shape, held: Container[int]) -> bool:
    """Has the shape the guess's extents along the axes that are held?"""
    return all(
        i not in held or (i < len(shape) and shape[i] == extent) for i, extent in enumerate(guess)
    )


def _walked(net: NetParameter, state: NetState, guesses: Mapping[str, Shape]) -> Walk:
    graph = build_graph(net, state, [])
    walk = Walk({}, {}, [], [])
    for node in graph.nodes:
        if not node.sound or any(v not in walk.shapes for v in node.bottoms):
            walk.left += 1
            continue
        layer = node.cls(node.spec, Context(state.phase, data=False))
        try:
            layer.setup([walk.shapes[v] for v in node.bottoms])
            infer_node(node, layer, walk.shapes)
        except CaffeliteError:
            walk.refused.append(node)
            walk.left += 1
            continue
        if not node.bottoms:
            walk.images += [s for v in node.tops if len(s := walk.shapes[v]) == 4]
        for version in node.tops:
            if not node.bottoms and version.name in guesses:
                walk.ways[version] = version.name, lambda shape: shape
            elif (way := _way(node, version, walk)) is not None:
                walk.ways[version] = way
    return walk


def _way(node: Node, top: Version, walk: Walk) -> tuple[str, Way] | None:
    """How a top follows from guessed data, if it is from one blob of it."""
    from_data = [v for v in node.bottoms if v in walk.ways]
    if len(from_data) != 1:
        return None
    bottom = from_data[0]
    (name, back), old, new = walk.ways[bottom], walk.shapes[bottom], walk.shapes[top]
    if old == new:
        return name, back
    if len(old) != len(new) or len(node.bottoms) > 1:
        return None
    if _reads(node, "slice_param"):
        axis, last = _axis(node, len(old)), top is node.tops[-1]
        return name, lambda shape: _around(back, old, new, shape, axis, last)
    return name, lambda shape: _in_proportion(back, old, new, shape)


def _around(back: Way, old: Shape, new: Shape, shape: Shape, axis: int, last: bool) -> Shape | None:
    """Back through a slice: the other axes follow; this one too, for the last of the parts."""
    if len(shape) <= axis:
        return None
    extent = old[axis] + (shape[axis] - new[axis] if last else 0)
    return back((*shape[:axis], extent, *shape[axis + 1 :]))


def _in_proportion(back: Way, old: Shape, new: Shape, shape: Shape) -> Shape | None:
    """Back through a convolution or pooling: sides in proportion, channels as they were."""
    if len(shape) != len(new) or len(new) < 3 or min(new) < 1:
        return None
    sides = (round(a * c / b) for a, b, c in zip(old[2:], new[2:], shape[2:]))
    return back((*old[:2], *(max(1, side) for side in sides)))


def _proposals(walk: Walk) -> Iterator[tuple[str, Shape]]:
    """Tops of the data and shapes that layers which refuse would rather have."""
    for node in walk.refused:
        for i, version in enumerate(node.bottoms):
            if version not in walk.ways:
                continue
            name, back = walk.ways[version]
            others = [v for v in node.bottoms if v is not version]
            others.sort(key=lambda v: walk.ways.get(v, ("",))[0] == name)
            seen = [walk.shapes[v] for v in others]
            own = walk.shapes[version]
            for shape in _wanted(node, i, own, seen) if seen or own[1:] else _as(own, walk.images):
                found = back(shape)
                if found is not None and found and min(found) > 0:
                    yield name, found


def _as(own: Shape, images: list[Shape]) -> Iterator[Shape]:
    """What was taken for labels as images, beside others, as many and as large as these."""
    for image in images:
        yield (*(own or image)[:1], *image[1:])


def _wanted(node: Node, index: int, own: Shape, others: list[Shape]) -> Iterator[Shape]:
    """Shapes that would suit a layer better as this bottom, the likeliest first."""
    if _reads(node, "slice_param"):
        yield from _sliced(node, own)
    elif _reads(node, "reshape_param"):
        yield from _reshaped(node, own)
    elif issubclass(node.cls, RegionLayer) and index == 1:
        yield (*own[:1], 5)
    elif others and node.cls.compares and index == 1:
        scores = others[0]
        maps = (*scores[:1], 1, *scores[2:])
        column = (*scores[:1], 1)  # of a slice, whose axis a plain vector does not have
        classes = [scores[:1], column] if len(scores) < 3 else [maps, scores[:1]]
        yield from [*classes, scores] if node.cls.labels_are_classes else [scores, *classes]
    elif others and _reads(node, "concat_param"):
        axis = _axis(node, len(others[0]), "concat_param")
        if len(own) > axis:
            yield (*others[0][:axis], own[axis], *others[0][axis + 1 :])
    elif others:
        yield others[0]


def _reads(node: Node, message: str) -> bool:
    return message in node.cls.messages()


def _axis(node: Node, ndim: int, group: str = "slice_param") -> int:
    param = node.spec.get(group)
    old = "slice_dim" if group == "slice_param" else "concat_dim"
    axis: int = param.get(old) if param.has(old) else param.axis
    return axis % ndim if ndim else 0


def _sliced(node: Node, own: Shape) -> Iterator[Shape]:
    """As many channels as the points ask for, the last part as long as the one before it."""
    points = list(node.spec.get("slice_param").slice_point)
    axis = _axis(node, max(2, len(own)))
    total = len(node.tops)
    if points:
        total = 2 * points[-1] - (points[-2] if len(points) > 1 else 0)
    filled = (*own, *[1] * (axis + 1 - len(own)))
    yield (*filled[:axis], total, *filled[axis + 1 :])


def _reshaped(node: Node, own: Shape) -> Iterator[Shape]:
    """As many values as the new extents hold: more samples, or as many with more in each."""
    extents = list(node.spec.get("reshape_param").shape.dim)
    held = math.prod(n for n in extents if n > 0)
    each = math.prod(own[1:])
    if extents and extents[0] == 0:
        yield (*own[:1], held)
    elif own and each and held % each == 0:
        yield (held // each, *own[1:])
