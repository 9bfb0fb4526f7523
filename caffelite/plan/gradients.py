"""Who needs a gradient: which layers run backward, and what each computes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from caffelite.layers.base import Layer
from caffelite.plan.graph import Node, Version
from caffelite.plan.params import Use


@dataclass(frozen=True)
class Need:
    """What one layer's backward pass computes."""

    backward: bool
    """Does the layer have a backward pass to run?"""
    bottoms: tuple[bool, ...]
    """For each bottom: does it need a gradient from this layer?"""
    learns: tuple[bool, ...]
    """For each parameter: does it need a gradient?"""


def find_gradients(
    nodes: Sequence[Node],
    layers: Sequence[Layer],
    uses: Sequence[Sequence[Use]],
    loss_weights: Mapping[Version, float],
    force: bool,
) -> tuple[Need, ...]:
    """Decide which layers run backward and which bottoms get a gradient, as Caffe does.

    Forward: a blob needs a gradient if its maker learns or reads one that needs it.
    `propagate_down` adds or drops a bottom, but does not by itself make a layer run backward.
    Backward: only what leads to a loss is of use. With `force`, all that has a gradient."""
    backward, bottoms = _forward_needs(nodes, layers, uses)
    for node in reversed(nodes):
        leads = any(
            v in loss_weights or any(bottoms[r.index][i] for r, i in v.readers) for v in node.tops
        )
        if not leads:
            backward[node.index] = False
            bottoms[node.index] = [False] * len(node.bottoms)
    needs = []
    for node, layer in zip(nodes, layers):
        i = node.index
        if force:
            backward[i] = True
            bottoms[i] = [layer.propagates(k) for k in range(len(node.bottoms))]
        learns = [u.param.lr_mult != 0 or (force and not u.param.declared.fixed) for u in uses[i]]
        runs = backward[i] and any([*bottoms[i], *learns])
        needs.append(Need(runs, tuple(bottoms[i]), tuple(learns)))
    return tuple(needs)


def _forward_needs(
    nodes: Sequence[Node], layers: Sequence[Layer], uses: Sequence[Sequence[Use]]
) -> tuple[list[bool], list[list[bool]]]:
    """Which layers could pass a gradient back, and to which bottoms, of use or not."""
    backward: list[bool] = []
    bottoms: list[list[bool]] = []
    reached: set[Version] = set()
    for node, layer, params in zip(nodes, layers, uses):
        need = any(v in reached for v in node.bottoms) or any(u.param.lr_mult for u in params)
        down = list(node.spec.propagate_down)
        wants = []
        for i, version in enumerate(node.bottoms):
            asks = down[i] if down else version in reached
            if asks and down and not layer.propagates(i):
                layer.fail(
                    f'has no gradient for bottom "{version.name}"',
                    "propagate_down",
                    expected="false there",
                )
            wants.append(asks and layer.propagates(i))
        backward.append(need)
        bottoms.append(wants)
        if need:
            reached.update(node.tops)
    return backward, bottoms
