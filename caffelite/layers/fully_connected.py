"""What fully connected layers share: the number of outputs, and axes flattened into inputs."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from caffelite.blob import Shape
from caffelite.layers.base import Layer, Shapes, show


class FullyConnected(Layer):
    """Abstract: x (…, K), the axes from `axis` on flattened into K, to y (axes before, N)."""

    backward_reads = ("bottom",)
    group: ClassVar[str] = ""
    """The field of the layer's own message, which has num_output, axis, bias_term and fillers."""
    param: Any
    transposed = False
    """Are the weights (K, N) rather than (N, K)?"""

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        example = f"{self.group} {{ num_output: 10 }}"
        self.need(self.group, "num_output", expected=f"the number of outputs, {example}")
        _, k = self.sizes(bottom[0])
        self.inputs = k
        self.declare((k, p.num_output) if self.transposed else (p.num_output, k), p.weight_filler)
        if p.bias_term:
            self.declare((p.num_output,), p.bias_filler)

    def sizes(self, shape: Shape) -> tuple[Shape, int]:
        """The leading axes and K."""
        axis = self.axis(self.param.axis, len(shape), self.group, "axis")
        return shape[:axis], math.prod(shape[axis:])

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        """y = W x for every row: rows · |W|, where prod(bottom) · prod(top) = rows² · |W|."""
        weights = math.prod(self.declared[0].shape)
        return math.isqrt(math.prod(bottom[0]) * math.prod(top[0]) // weights) * weights

    def reshape(self, bottom: Shapes) -> list[Shape]:
        lead, k = self.sizes(bottom[0])
        if k != self.inputs:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(bottom[0])}: {k} inputs a sample, '
                f"but the weights are for {self.inputs}",
                "bottom",
            )
        return [(*lead, self.param.num_output)]

    @property
    def matrices(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The shapes of x and y as matrices: (M, K) and (M, N)."""
        samples = math.prod(self.sizes(self.bottom_shapes[0])[0])
        return (samples, self.inputs), (samples, self.param.num_output)
