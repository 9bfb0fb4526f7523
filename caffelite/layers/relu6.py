"""ReLU6: the rectified linear unit that ends at 6."""

from __future__ import annotations

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, register
from caffelite.layers.cases import Case


@register
class ReLU6(Layer):
    """y = min(max(x, 0), 6).

    Gradient: ∂L/∂x = ∂L/∂y where 0 < x < 6, 0 elsewhere.
    Shapes: bottom and top alike, any.
    Some forks give it a relu6_param; its fields differ from fork to fork, and it is not read here.
    Source: Krizhevsky 2010; Howard et al. 2017 (MobileNets).
    """

    in_place = True
    backward_reads = ("top",)
    extension = "MobileNet forks of Caffe, such as eric612/MobileNet-YOLO; no parameters"
    cases = (
        Case(
            'type: "ReLU6"',
            {"x": [[-2.0, 0.5, 5.5, 8.0]]},
            {"y": [[0.0, 0.5, 5.5, 6.0]]},
        ),
    )

    def prepare(self) -> None:
        self._above = np.empty(self.bottom_shapes[0], bool)
        self._below = np.empty(self.bottom_shapes[0], bool)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.maximum(bottom[0], 0, out=top[0])
        np.minimum(top[0], 6, out=top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (y,), (dy,), (dx,) = top, top_diff, bottom_diff
        if dx is not None:
            np.greater(y, 0, self._above)
            np.less(y, 6, self._below)
            np.logical_and(self._above, self._below, self._above)
            np.multiply(dy, self._above, dx)
