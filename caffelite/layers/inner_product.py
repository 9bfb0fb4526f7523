"""InnerProduct: the fully connected layer."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.fully_connected import FullyConnected
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class InnerProductParameter(LayerMessage, field="inner_product_param", number=117):
    """The size and the start of a fully connected layer."""

    num_output: int = field(1, "uint32", least=1, doc="number of outputs N")
    bias_term: bool = field(2, "bool", default=True, doc="add a bias?")
    weight_filler: FillerParameter = field(3, FillerParameter, doc="first values of W")
    bias_filler: FillerParameter = field(4, FillerParameter, doc="first values of b")
    axis: int = field(5, "int32", default=1, doc="axes from here on are flattened into K inputs")
    transpose: bool = field(6, "bool", default=False, doc="W is stored as K x N")
    min_top_axes: int = field(
        107, "int32", default=-1, doc="MyCaffe: axes of 1 behind N until y has so many"
    )


@register
class InnerProduct(FullyConnected):
    """y = x·Wᵀ + b, for each of M samples.

    Shapes: x is (…, K) with the axes from `axis` on flattened into K and those before into M;
    W is (N, K), or (K, N) with `transpose`; b is (N,); y is (axes before `axis`, N), and with
    `min_top_axes` (MyCaffe's) axes of 1 behind them.

    Gradients: ∂L/∂x = ∂L/∂y · W;  ∂L/∂W = (∂L/∂y)ᵀ · x;  ∂L/∂b = Σ over samples of ∂L/∂y.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/innerproduct.html
    """

    group = "inner_product_param"
    overwrites = True
    param: InnerProductParameter = param_of(InnerProductParameter)
    cases = (
        Case(
            'type: "InnerProduct" inner_product_param { num_output: 2 }',
            {"x": [[1.0, 2.0, 3.0]]},
            {"y": [[14.5, 3.0]]},
            params=[[[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]], [0.5, -1.0]],
        ),
        Case(
            'type: "InnerProduct" '
            "inner_product_param { num_output: 2 transpose: true bias_term: false }",
            {"x": [[1.0, 2.0, 3.0]]},
            {"y": [[14.0, 4.0]]},
            params=[[[1.0, 0.0], [2.0, -1.0], [3.0, 2.0]]],
        ),
        Case(
            'type: "InnerProduct" inner_product_param { num_output: 4 axis: 2 }',
            {"x": random(2, 3, 2, 2)},
        ),
        Case(
            # 1 + 4 + 9, with MyCaffe's two axes more
            'type: "InnerProduct" inner_product_param { num_output: 1 min_top_axes: 4 }',
            {"x": [[1.0, 2.0, 3.0]]},
            {"y": [[[[14.0]]]]},
            params=[[[1.0, 2.0, 3.0]], [0.0]],
        ),
        Case(
            'type: "InnerProduct" inner_product_param { num_output: 3 axis: -1 }',
            {"x": random(2, 3, 5)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self.transposed = self.param.transpose
        super().setup(bottom)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (top,) = super().reshape(bottom)
        return [top + (1,) * (self.param.min_top_axes - len(top))]

    def prepare(self) -> None:
        self.rows, self.columns = self.matrices
        weight = self.params[0].data
        self.weight: Array = weight.T if self.transposed else weight
        self.bias: Array | None = self.params[1].data if self.param.bias_term else None
        self.large = self.kernels.is_large(self.rows[0], weight.size)
        self._dot = self.kernels.product if self.large else np.dot
        self._weight_step = None if self.large else np.empty_like(weight)
        self._bias_step = np.empty(self.param.num_output, self.dtype)
        self.ones = np.ones(self.rows[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = matrix(bottom[0], self.rows), matrix(top[0], self.columns)
        self._dot(x, self.weight.T, y)
        if self.bias is not None:
            np.add(y, self.bias, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        x, dy, dx = (
            matrix(bottom[0], self.rows),
            matrix(top_diff[0], self.columns),
            bottom_diff[0],
        )
        fresh = self.gradients.fresh
        if self.learns[0]:
            factors = (x.T, dy) if self.transposed else (dy.T, x)
            self._add(*factors, self.params[0].diff, self._weight_step, fresh)
        if self.bias is not None and self.learns[1]:
            # Σ over samples; BLAS is faster at it than a sum
            self._add(self.ones, dy, self.params[1].diff, self._bias_step, fresh)
        if dx is not None:
            self._dot(dy, self.weight, matrix(dx, self.rows))

    def _add(self, a: Array, b: Array, diff: Array, step: Array | None, fresh: bool) -> None:
        """diff ← a·b if fresh, else diff ← diff + a·b."""
        if step is None:
            self.kernels.add_product(a, b, diff, fresh)
        elif fresh:
            np.dot(a, b, diff)
        else:
            np.dot(a, b, step)
            np.add(diff, step, diff)


def matrix(array: Array, shape: tuple[int, int]) -> Array:
    """The array as a matrix of that shape; a view unless it is non-contiguous."""
    return array if array.shape == shape else array.reshape(shape)
