"""Embed: a learned vector for each index."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, labels
from caffelite.layers.rows import add_rows, read_index
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class EmbedParameter(LayerMessage, field="embed_param", number=137):
    """The sizes and the start of an embedding."""

    num_output: int = field(1, "uint32", least=1, doc="the length N of a vector")
    input_dim: int = field(2, "uint32", least=1, doc="how many indices K there are: 0 to K-1")
    bias_term: bool = field(3, "bool", default=True, doc="add a bias?")
    weight_filler: FillerParameter = field(4, FillerParameter, doc="first values of W")
    bias_filler: FillerParameter = field(5, FillerParameter, doc="first values of b")


@register
class Embed(Layer):
    """y_m = W[i_m] + b: the row of W that the index i_m names. It is InnerProduct on one-hot
    vectors without the multiplications by zero.

    Gradients: ∂L/∂W[k] = Σ over the m with i_m = k of ∂L/∂y_m;  ∂L/∂b = Σ_m ∂L/∂y_m; none for the
    indices.
    Shapes: indices of any shape (…), whole numbers from 0 to K-1; W is (K, N), b is (N,); the top
    is (…, N).
    Source: https://caffe.berkeleyvision.org/tutorial/layers/embed.html
    """

    backward_reads = ()
    param: EmbedParameter = param_of(EmbedParameter)
    cases = (
        Case(
            'type: "Embed" embed_param { input_dim: 3 num_output: 2 }',
            {"i": [2.0, 0.0, 2.0]},
            {"y": [[5.5, 5.0], [1.5, 1.0], [5.5, 5.0]]},
            params=[[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [0.5, -1.0]],
        ),
        Case(
            'type: "Embed" embed_param { input_dim: 2 num_output: 1 bias_term: false }',
            {"i": [[1.0, 0.0], [1.0, 1.0]]},
            {"y": [[[-3.0], [4.0]], [[-3.0], [-3.0]]]},
            params=[[[4.0], [-3.0]]],
        ),
        Case(
            'type: "Embed" embed_param { input_dim: 5 num_output: 3 }',
            {"i": labels(4, 3, classes=5)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        for name, what in (("num_output", "the length of a vector"), ("input_dim", "the indices")):
            example = "embed_param { input_dim: 1000 num_output: 64 }"
            self.need("embed_param", name, expected=f"{what}, {example}")
        self.declare((p.input_dim, p.num_output), p.weight_filler)
        if p.bias_term:
            self.declare((p.num_output,), p.bias_filler)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return [(*bottom[0], self.param.num_output)]

    def prepare(self) -> None:
        self._index = np.empty(math.prod(self.bottom_shapes[0]), np.intp)

    def propagates(self, index: int) -> bool:
        return False

    def _rows(self, a: Array) -> Array:
        return a.reshape(-1, self.param.num_output)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        read_index(self, 0, bottom[0], self.param.input_dim, "indices (input_dim)", self._index)
        y = self._rows(top[0])
        np.take(self.params[0].data, self._index, 0, y, "clip")
        if self.param.bias_term:
            np.add(y, self.params[1].data, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dy = self._rows(top_diff[0])
        if self.learns[0]:
            add_rows(self.params[0].diff, self._index, dy)
        if self.param.bias_term and self.learns[1]:
            db = self.params[1].diff
            np.add(db, np.add.reduce(dy, 0), db)
