"""What a model of caffelite's own says of its layers, so that they can be had back.

A DetectionOutput is some fifty nodes, which no reader of nodes can tell from others. So an export
writes the text of layers that find boxes, or pool them, into the model's metadata, with tensors for
blobs; and an import takes the layer instead of the nodes between these tensors, if they are all
there. It is verified as all else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.layers.base import Layer, find
from caffelite.onnx.dims import ROW_AXIS
from caffelite.schema.net import LayerParameter

KEY = "caffelite.layer."
"""In front of the name of a layer's first tensor."""
TYPES = {
    *ROW_AXIS,
    "CTCGreedyDecoder",
    "DecodeBBox",
    "PSROIPooling",
    "ROIAlign",
    "ROIPooling",
} - {"Filter"}


def kept(layer: Layer, bottoms: Iterable[str], tops: Iterable[str]) -> tuple[str, str] | None:
    """Key and text of a layer that is kept."""
    if layer.type not in TYPES:
        return None
    spec = layer.spec.copy()
    spec.bottom, spec.top = list(bottoms), list(tops)
    return KEY + spec.top[0], str(spec)


@dataclass(frozen=True)
class Group:
    """The nodes of a model, by number, that are one layer."""

    spec: LayerParameter
    nodes: frozenset[int]


def groups(model: Any) -> list[Group]:
    """The layers that a model says it has, where their nodes are all there and nothing else reads
    what is made within."""
    makers = {name: i for i, node in enumerate(model.graph.node) for name in node.output}
    readers: dict[str, set[int]] = {}
    for i, node in enumerate(model.graph.node):
        for name in node.input:
            readers.setdefault(name, set()).add(i)
    outputs = {x.name for x in model.graph.output}
    known = {*makers, *(x.name for x in [*model.graph.input, *model.graph.initializer])}
    found = []
    for entry in model.metadata_props:
        if not entry.key.startswith(KEY):
            continue
        try:
            (spec,) = parse_net(f"layer {{ {entry.value} }}", "<metadata>").layer
            if find(spec).type not in TYPES or not {*spec.bottom, *spec.top} <= known:
                continue
        except (CaffeliteError, ValueError):
            continue
        nodes = _between(model, makers, set(spec.bottom), list(spec.top))
        inner = {name for i in nodes for name in model.graph.node[i].output} - set(spec.top)
        closed = all(readers.get(name, set()) <= nodes for name in inner)
        if nodes and closed and not inner & outputs:
            found.append(Group(spec, frozenset(nodes)))
    return found


def _between(model: Any, makers: Mapping[str, int], bottoms: set[str], tops: list[str]) -> set[int]:
    """The nodes that the tops come from, up to the bottoms."""
    nodes: set[int] = set()
    left = list(tops)
    while left:
        name = left.pop()
        if name in bottoms or name not in makers or makers[name] in nodes:
            continue
        nodes.add(makers[name])
        node = model.graph.node[makers[name]]
        left += node.input
        for attribute in node.attribute:  # what a Loop's body reads from outside
            left += [name for inner in attribute.g.node for name in inner.input]
    return nodes
