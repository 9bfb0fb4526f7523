"""In-place layers: which versions of a blob may share memory. One judge for those who allocate and
those who say how much it will be."""

from __future__ import annotations

from collections.abc import Mapping

from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version


def owners(plan: Plan) -> Mapping[Version, Version]:
    """For each version the one whose memory it uses: itself, or an earlier one.

    An in-place layer overwrites its bottom where nobody misses the old values. It may when the
    layer can (`in_place`), no other layer reads the old version, and neither this layer's backward
    pass reads it nor that of the layer that made it. A version with a loss weight never shares: its
    gradient has to stay. Otherwise the new version gets memory of its own: the results are right
    either way."""
    owner: dict[Version, Version] = {}
    for node in plan.graph.nodes:
        for version in node.tops:
            old = version.previous
            shares = (
                old is not None
                and version not in plan.loss_weights
                and plan.shapes[version] == plan.shapes[old]
                and _may_overwrite(plan, node, old)
            )
            owner[version] = owner[old] if shares and old is not None else version
    return owner


def _may_overwrite(plan: Plan, node: Node, old: Version) -> bool:
    layer, maker = plan.layers[node.index], plan.layers[old.maker.index]
    if not layer.in_place or len(old.readers) > 1 or old in plan.loss_weights or maker.lasting:
        return False
    kept = plan.needs[node.index].backward and "bottom" in layer.backward_reads
    return not kept and not (plan.needs[old.maker.index].backward and "top" in maker.backward_reads)
