"""Executor: allocates the blobs and parameters of a plan, and runs its passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from caffelite.blob import Array, Blob, Shape
from caffelite.layers.base import Layer
from caffelite.plan.build import Plan, infer_shapes
from caffelite.plan.graph import Node, Version
from caffelite.run.arena import Arena
from caffelite.run.memory import GradientFlow, Step, place


class Executor:
    """A plan with memory. A pass is a list of steps, each a layer's method bound to its arrays, so
    that running it costs little more than what the layers do. `arena` has the parameters."""

    def __init__(self, plan: Plan, arena: Arena, dtype: np.dtype) -> None:
        self._plan = plan
        self._nodes = plan.graph.nodes
        self._last = plan.graph.blobs
        self.dtype, self.arena = dtype, arena
        self.layers: list[Layer] = plan.layers
        for layer, blobs, learns in zip(self.layers, arena.blobs, plan.learns):
            layer.params, layer.learns = blobs, learns
        self._placement = place(plan)
        self._data: dict[Version, Array] = {}
        self._dynamic = any(layer.dynamic for layer in self.layers)
        self._blobs: dict[str, Blob] = {}
        self.blobs: Mapping[str, Blob] = MappingProxyType(self._blobs)
        """The last version of each blob, in the order of their first appearance."""
        self._allocate()

    def _allocate(self, start: int = 0) -> None:
        """Give every version its array, keeping those whose shape stands, and let the layers from
        `start` on prepare."""
        shapes = self._plan.shapes
        for node in self._nodes:
            for version in node.tops:
                owner = self._placement.owner[version]
                if owner is not version:
                    self._data[version] = self._data[owner]
                elif version not in self._data or self._data[version].shape != shapes[version]:
                    self._data[version] = np.zeros(shapes[version], self.dtype)
        for name, version in self._last.items():
            data, weight = self._data[version], self._plan.loss_weights.get(version)
            if name not in self.blobs:
                self._blobs[name] = Blob(data, None, self._reshaper(version))
            elif self.blobs[name].data is not data:
                self.blobs[name]._replace(data, None)
            else:
                continue
            if weight:
                self.blobs[name].diff.fill(weight)
        for layer in self.layers[start:]:
            layer.prepare()
        self._forward_steps = [self._forward_step(node) for node in self._nodes]
        self._backward_steps: list[list[Step]] | None = None
        self._losses = [(self._data[v], w) for v, w in self._plan.loss_weights.items()]
        self._stale = False

    def _reshaper(self, last: Version) -> Callable[[Shape], None] | None:
        """What `blob.reshape` does: for the tops of Input layers alone, in-place or not."""
        first = last
        while first.previous is not None:
            first = first.previous
        if first.maker.spec.type != "Input":
            return None
        return partial(self._reshape_input, first, last)

    def _arrays(self, versions: Iterable[Version]) -> list[Array]:
        return [self._data[v] for v in versions]

    def _forward_step(self, node: Node) -> Step:
        layer = self.layers[node.index]
        if layer.dynamic:
            return partial(self._forward_dynamic, node)
        apart = [v for v in node.tops if not self._placement.shown(v)]
        if apart and node.spec.type == "Input":
            return partial(self._take_input, apart)
        return partial(layer.forward, self._arrays(node.bottoms), self._arrays(node.tops))

    def _take_input(self, versions: list[Version]) -> None:
        """An input that an in-place layer rewrites is shown, and filled, as its last version; the
        first version, kept because others read it too, is taken from there."""
        for version in versions:
            np.copyto(self._data[version], self.blobs[version.name].data)

    def _forward_dynamic(self, node: Node) -> None:
        """A layer whose top shapes depend on values: what follows it is reshaped as needed."""
        layer = self.layers[node.index]
        shapes = [tuple(s) for s in layer.reshape_to(self._arrays(node.bottoms))]
        if shapes != layer.top_shapes:
            layer.top_shapes = shapes
            self._plan.shapes.update(zip(node.tops, shapes))
            self._infer(node.index + 1)
        layer.forward(self._arrays(node.bottoms), self._arrays(node.tops))

    def _infer(self, start: int = 0) -> None:
        """Shapes anew from the layer `start` on, then memory for what changed."""
        for node in self._nodes[start:]:
            infer_shapes(node, self.layers[node.index], self._plan.shapes)
        self._allocate(start)

    def _reshape_input(self, first: Version, last: Version, shape: Shape) -> None:
        self.layers[first.maker.index].top_shapes[first.top_index] = shape
        self.blobs[first.name]._replace(np.zeros(shape, self.dtype), None)
        self._data[self._placement.owner[last]] = self.blobs[first.name].data
        self._stale = True

    def reshape(self) -> None:
        """Let all shapes follow the inputs', as the next forward pass would."""
        self._infer()

    def forward_loss(self) -> float:
        """One forward pass; the weighted sum of the losses. The solver's inner loop."""
        if self._stale:
            self._infer()
        if self._dynamic:
            for index in range(len(self.layers)):  # the steps behind may be exchanged underway
                self._forward_steps[index]()
        else:
            for step in self._forward_steps:
                step()
        loss = 0.0
        for array, weight in self._losses:
            loss += weight * float(array if array.ndim == 0 else array.sum())
        return loss

    def backward_all(self) -> None:
        """One backward pass over all layers."""
        if self._backward_steps is None:
            self._backward_steps = self._plan_backward()
        for step in self._flat_backward:
            step()

    def forward_backward(self) -> float:
        """Forward, then backward; the loss."""
        loss = self.forward_loss()
        self.backward_all()
        return loss

    def _plan_backward(self) -> list[list[Step]]:
        if self._stale:
            self._infer()
        self._flow = GradientFlow(self._plan, self._placement, self._data, self.blobs)
        steps = self._flow.steps()
        self._flat_backward = [step for part in reversed(steps) for step in part]
        return steps

    def clear_param_diffs(self) -> None:
        """Zero the gradients of all parameters, which otherwise add up from pass to pass."""
        self.arena.clear_diff()
