"""Axpy: channels weighted and added, the end of a squeeze-and-excitation block."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case, random


@register
class Axpy(Layer):
    """z = a·x + y, with one factor a for each sample and channel; bottoms a, x, y.

    Gradients: ∂L/∂a = Σ over all but sample and channel of ∂L/∂z · x;  ∂L/∂x = ∂L/∂z · a;
    ∂L/∂y = ∂L/∂z.
    Shapes: x, y and z are (N, C, …); a is (N, C) or (N, C, 1, …).
    Source: Hu, Shen & Sun 2018 (Squeeze-and-Excitation Networks), https://github.com/hujie-frank/SENet
    """

    bottoms = (3, 3)
    backward_reads = ("bottom",)
    extension = "hujie-frank/SENet; no parameters"
    cases = (
        Case(
            'type: "Axpy"',
            {
                "a": [[2.0, -1.0]],
                "x": [[[1.0, 2.0], [3.0, 4.0]]],
                "y": [[[0.5, 0.5], [10.0, 20.0]]],
            },
            {"z": [[[2.5, 4.5], [7.0, 16.0]]]},
        ),
        Case(
            'type: "Axpy"',
            {"a": random(2, 3, 1, 1), "x": random(2, 3, 2, 2), "y": random(2, 3, 2, 2)},
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        a, x, y = bottom
        name_a, name_x, name_y = self.spec.bottom
        if y != x:
            self.fail(
                f'bottom "{name_y}" is {show(y)}, but "{name_x}" is {show(x)}',
                "bottom",
                expected="the second and the third bottom of one shape",
            )
        if len(a) < 2 or len(a) > len(x) or a != x[:2] + (1,) * (len(a) - 2):
            self.fail(
                f'bottom "{name_a}" is {show(a)}, but "{name_x}" is {show(x)}',
                "bottom",
                expected="one factor for each sample and channel: (N, C) or (N, C, 1, 1)",
            )
        return [x]

    def prepare(self) -> None:
        x = self.bottom_shapes[1]
        self._factors: Shape = x[:2] + (1,) * (len(x) - 2)
        self._product = np.empty(x, self.dtype)

    def _spread(self, a: Array) -> Array:
        """a so shaped that NumPy repeats it along the axes after the channels."""
        return a.reshape(self._factors)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (a, x, y), (z,) = bottom, top
        np.multiply(x, self._spread(a), z)
        np.add(z, y, z)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (a, x, _), (dz,), (da, dx, dy) = bottom, top_diff, bottom_diff
        if da is not None:
            np.multiply(dz, x, self._product)
            sums = np.add.reduce(self._product, tuple(range(2, x.ndim)))
            np.copyto(da, sums.reshape(da.shape))
        if dx is not None:
            np.multiply(dz, self._spread(a), dx)
        if dy is not None:
            np.copyto(dy, dz)
