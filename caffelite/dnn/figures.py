"""What OpenCV says of a net's layers before it runs: shapes, operations, memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import caffelite
from caffelite.blob import Array, Shape
from caffelite.dnn.planning import with_shapes
from caffelite.errors import NetError, Problem
from caffelite.layers.operations import opencv_operations
from caffelite.plan.graph import Node

BYTES = 4
"""Of a value."""


class Figures:
    """Of a net planned for inputs of these shapes: one, or one for each input, in their order.
    Layer 0 is its input. Raises NetError where shapes do not fit."""

    def __init__(self, net: caffelite.Net, nodes: Sequence[Node], shapes: Any) -> None:
        inputs = list(net.inputs)
        given = _several(shapes)
        if len(given) != len(inputs):
            raise NetError(
                Problem(
                    f"{len(given)} shapes, but the net has {len(inputs)} inputs",
                    expected="one for each of " + ", ".join(inputs),
                )
            )
        self._given = given
        planned = with_shapes(net, dict(zip(inputs, given)), "numpy")
        self._layers = planned.layers
        at = planned.plan.graph.nodes
        self._nodes = [at[node.index] for node in nodes]
        self._shapes: Mapping[Any, Shape] = planned.plan.shapes

    def __len__(self) -> int:
        return len(self._nodes) + 1

    def bottoms(self, number: int) -> list[Shape]:
        """The shapes of what a layer reads."""
        if number == 0:
            return self._given
        return [self._shapes[v] for v in self._node(number).bottoms]

    def tops(self, number: int) -> list[Shape]:
        """The shapes of what it makes."""
        if number == 0:
            return self._given
        return [self._shapes[v] for v in self._node(number).tops]

    def memory(self, number: int) -> tuple[int, int]:
        """Bytes of its parameters, and of its tops."""
        weights = 0
        if number:
            params = self._layers[self._node(number).index].params
            weights = sum(blob.data.size for blob in params)
        return weights * BYTES, sum(map(math.prod, self.tops(number))) * BYTES

    def operations(self, number: int) -> int:
        """Floating-point operations, as OpenCV counts them (a convolution in groups as one
        without); 0 for layers other than convolutions, poolings, products, sums, activations,
        BatchNorm, Scale and Softmax."""
        if number == 0:
            return 0
        layer = self._layers[self._node(number).index]
        return opencv_operations(layer, self.bottoms(number), self.tops(number))

    def _node(self, number: int) -> Node:
        if not 1 <= number <= len(self._nodes):
            raise NetError(f"no layer number {number}: there are 0 to {len(self._nodes)}")
        return self._nodes[number - 1]


def as_arrays(shapes: Sequence[Shape]) -> tuple[Array, ...]:
    """As OpenCV gives shapes."""
    return tuple(np.array(shape, np.int32) for shape in shapes)


def _several(shapes: Any) -> list[Shape]:
    listed = [np.asarray(s) for s in shapes]
    if all(s.ndim == 0 for s in listed):
        listed = [np.array(listed)]
    return [tuple(int(n) for n in s.ravel()) for s in listed]
