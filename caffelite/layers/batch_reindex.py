"""BatchReindex: samples picked, repeated and reordered by index."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.rows import add_rows, read_index


@register
class BatchReindex(Layer):
    """y_m = x_{i_m}, with the indices i of the second bottom.

    Gradient: ∂L/∂x_n = Σ over the m with i_m = n of ∂L/∂y_m; none for the indices.
    Shapes: x (N, …) and indices (M,) give (M, …). An index is a whole number from 0 to N-1.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/batchreindex.html
    """

    bottoms = (2, 2)
    backward_reads = ()
    cases = (
        Case(
            'type: "BatchReindex"',
            {"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "i": [2.0, 0.0, 2.0, 2.0]},
            {"y": [[5.0, 6.0], [1.0, 2.0], [5.0, 6.0], [5.0, 6.0]]},
        ),
        Case('type: "BatchReindex"', {"x": random(3, 2, 2), "i": labels(7, classes=3)}),
        Case('type: "BatchReindex"', {"x": random(3), "i": [1.0]}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, index = bottom
        if len(index) != 1:
            self.fail(
                f'the indices "{self.spec.bottom[1]}" are {show(index)}',
                "bottom",
                expected="one axis",
            )
        if not x:
            self.fail(f'bottom "{self.spec.bottom[0]}" is a scalar', "bottom")
        return [(*index, *x[1:])]

    def prepare(self) -> None:
        self._index = np.empty(self.bottom_shapes[1], np.intp)

    def propagates(self, index: int) -> bool:
        return index == 0

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        read_index(self, 1, bottom[1], self.bottom_shapes[0][0], "samples", self._index)
        if self._index.size:
            np.take(bottom[0], self._index, 0, top[0], "clip")

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            bottom_diff[0].fill(0)
            add_rows(bottom_diff[0], self._index, top_diff[0])
