"""The shapes of a net's blobs, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from caffelite.blob import Shape
from caffelite.layers.base import MOST, Layer, show
from caffelite.plan.graph import Node, Version
from caffelite.reading import MAX_AXES

Shapes = dict[Version, Shape]


def infer_node(
    node: Node, layer: Layer, shapes: Shapes, given: Mapping[Version, Shape] | None = None
) -> None:
    """Ask the layer for its tops' shapes and note them in `shapes`. A top that is filled from
    outside has the shape that is `given` for it, if any."""
    tops = [tuple(s) for s in layer.reshape([shapes[v] for v in node.bottoms])]
    for i, (version, inferred) in enumerate(zip(node.tops, tops)):
        shape = given.get(version, inferred) if given else inferred
        if len(shape) > MAX_AXES:
            layer.fail(
                f'top "{version.name}" would have {len(shape)} axes',
                "top",
                index=i,
                expected=f"at most {MAX_AXES}, as in Caffe",
            )
        if math.prod(shape) > MOST:
            layer.fail(
                f'top "{version.name}" would be {show(shape)}',
                "top",
                index=i,
                expected=f"at most {MOST} values",
            )
        shapes[version] = shape
    _check_rewritten_inputs(node, layer, shapes)


def carry(blobs: Iterable[Version], shapes: Shapes, end: int) -> Iterator[int]:
    """Shapes stand up to the layer `end`. A blob (its last version) that layers behind it rewrite
    is shown as what these make: until they run it has the shape that it has at `end`. Gives the
    layers whose tops were changed so, which must be asked for their shapes before they run."""
    for last in blobs:
        behind: list[Version] = []
        at: Version | None = last
        while at is not None and at.maker.index > end:
            behind.append(at)
            at = at.previous
        if at is not None:
            shapes.update(dict.fromkeys(behind, shapes[at]))
            yield from (version.maker.index for version in behind)


def _check_rewritten_inputs(node: Node, layer: Layer, shapes: Mapping[Version, Shape]) -> None:
    """An input is filled under its name, so a layer that rewrites it must keep its shape."""
    for i, version in enumerate(node.tops):
        first = version.first
        if first is version or not first.maker.cls.fed or shapes[first] == shapes[version]:
            continue
        layer.fail(
            f'the input "{version.name}" is {show(shapes[first])}, but this top of the same name '
            f"is {show(shapes[version])}",
            "top",
            index=i,
            expected="a name of its own for a top of another shape",
        )
