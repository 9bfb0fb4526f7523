"""Whose memory is whose: in-place versions, and gradients of blobs that several layers read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from caffelite.blob import Array, Blob, Shape
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version

Step = Callable[[], Any]
Datas = Mapping[Version, Array]
Blobs = Mapping[str, Blob]


@dataclass
class Placement:
    """For each version, the one whose arrays it uses: itself, or an earlier one."""

    owner: dict[Version, Version]
    last: dict[str, Version]

    def shown(self, version: Version) -> bool:
        """Are these the arrays that `net.blobs[name]` shows?"""
        return self.owner[self.last[version.name]] is self.owner[version]

    def at(self, name: str, index: int) -> Version:
        """The version that a blob has after the layer `index`."""
        version = self.last[name]
        while version.maker.index > index and version.previous is not None:
            version = version.previous
        return version

    def before(self, part: list[Node], data: Datas, blobs: Blobs) -> None:
        """A part of the net reads what `net.blobs` shows, as if all in-place layers shared memory:
        what was written there goes to the version that only a layer rewriting it reads."""
        start = part[0].index
        read = {v for node in part for v in node.bottoms if len(v.readers) == 1}
        for version in read:
            if version.maker.index < start and not self.shown(version):
                _copy_if_fits(data[version], blobs[version.name].data)

    def after(self, part: list[Node], data: Datas, blobs: Blobs) -> None:
        """A part of the net leaves in `net.blobs` what it made, though later layers rewrite it."""
        for version in {self.at(v.name, part[-1].index) for node in part for v in node.tops}:
            if not self.shown(version):
                _copy_if_fits(blobs[version.name].data, data[version])


def _copy_if_fits(to: Array, values: Array) -> None:
    if to.shape == values.shape:
        np.copyto(to, values)


def place(plan: Plan) -> Placement:
    """Let an in-place layer overwrite its bottom where nobody misses the old values.

    It may when the layer can (`in_place`), no other layer reads the old version, and neither this
    layer's backward pass reads it nor that of the layer that made it. A version with a loss weight
    never shares: its gradient has to stay. Otherwise the new version gets memory of its own: the
    results are right either way."""
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
    return Placement(owner, plan.graph.blobs)


def _may_overwrite(plan: Plan, node: Node, old: Version) -> bool:
    layer, maker = plan.layers[node.index], plan.layers[old.maker.index]
    if not layer.in_place or len(old.readers) > 1 or old in plan.loss_weights or maker.lasting:
        return False
    kept = plan.backward[node.index] and "bottom" in layer.backward_reads
    return not kept and not (plan.backward[old.maker.index] and "top" in maker.backward_reads)


class GradientFlow:
    """Plans the backward pass: one list of steps a layer, to be run from the last layer up.

    A layer overwrites its bottoms' gradients. Where several layers read a blob, the one that runs
    first writes the blob's diff and each other one writes a scratch array that is added to it."""

    def __init__(
        self,
        plan: Plan,
        placement: Placement,
        data: Datas,
        blobs: Blobs,
    ) -> None:
        self.plan, self.placement, self.data, self.blobs = plan, placement, data, blobs
        self._diffs: dict[Version, Array] = {}
        self._scratch: dict[tuple[Shape, int], Array] = {}

    def steps(self) -> list[list[Step]]:
        """For each layer what its part of the backward pass does."""
        for version, weight in self.plan.loss_weights.items():
            diff = self.diff(version)
            if diff is not self.blobs[version.name].diff:  # else the blob has it already
                diff.fill(weight)
        return [self._node_steps(node) for node in self.plan.graph.nodes]

    def opening(self, start: int) -> list[Step]:
        """What goes before a pass that begins at the layer `start`: where the layer that writes a
        gradient first is not run, but others that add to it are, it starts anew."""
        found: list[Step] = []
        for version in self.plan.shapes:
            wanting = [node.index for node, _ in self._wanting(version)]
            if wanting and wanting[-1] <= start < wanting[0]:
                weight = self.plan.loss_weights.get(version, 0)
                found.append(partial(self.diff(version).fill, weight))
        return found

    def diff(self, version: Version) -> Array:
        """The gradient at a version."""
        owner = self.placement.owner[version]
        if owner not in self._diffs:
            if self.placement.shown(version) and not self._gives_way(version):
                self._diffs[owner] = self.blobs[version.name].diff
            else:
                self._diffs[owner] = np.zeros_like(self.data[owner])
        return self._diffs[owner]

    def _gives_way(self, version: Version) -> bool:
        """Does the name show the gradient of the input that this version rewrote? (Unless that is
        an output, whose gradient is set there from outside.)"""
        first = version
        while first.previous is not None:
            first = first.previous
        hides_input = first.maker.cls.source and not self.placement.shown(first)
        return hides_input and bool(version.readers or version in self.plan.loss_weights)

    def _wanting(self, version: Version) -> list[tuple[Node, int]]:
        """The readers that pass a gradient to this version, in the order they run backward."""
        plan = self.plan
        wanting = [
            (n, i) for n, i in version.readers if plan.wanted[n.index][i] and plan.backward[n.index]
        ]
        return sorted(wanting, key=lambda reader: (-reader[0].index, reader[1]))

    def _node_steps(self, node: Node) -> list[Step]:
        layer = self.plan.layers[node.index]
        if layer.source:
            return self._show_input(node)
        if not self.plan.backward[node.index]:
            return []
        before: list[Step] = []
        after: list[Step] = []
        bottom_diffs: list[Array | None] = []
        for i, version in enumerate(node.bottoms):
            wanting = self._wanting(version)
            if (node, i) not in wanting:
                bottom_diffs.append(None)
                continue
            diff, first = self.diff(version), wanting[0] == (node, i)
            weight = self.plan.loss_weights.get(version)
            if first and weight:
                # a loss that other layers read: its weight comes first, theirs are added
                before.append(partial(diff.fill, weight))
            if first and not weight:
                bottom_diffs.append(diff)
            else:
                extra = self._spare(diff, len(after))
                bottom_diffs.append(extra)
                after.append(partial(np.add, diff, extra, diff))
        run = partial(
            layer.backward,
            [self.data[v] for v in node.tops],
            [self.diff(v) for v in node.tops],
            [self.data[v] for v in node.bottoms],
            bottom_diffs,
        )
        return [*before, run, *after]

    def _spare(self, like: Array, slot: int) -> Array:
        key = (tuple(like.shape), slot)
        if key not in self._scratch:
            self._scratch[key] = np.empty_like(like)
        return self._scratch[key]

    def _show_input(self, node: Node) -> list[Step]:
        """The gradient of an input is shown under its name, even if a layer rewrote the blob."""
        return [
            partial(np.copyto, self.blobs[v.name].diff, self.diff(v))
            for v in node.tops
            if not self.placement.shown(v) and self._wanting(v)
        ]
