"""Clip: values held between two bounds."""

from __future__ import annotations

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ClipParameter(LayerMessage, field="clip_param", number=148):
    """The bounds."""

    min: float = field(1, "float", required=True, doc="lower bound")
    max: float = field(2, "float", required=True, doc="upper bound")


@register
class Clip(Layer):
    """y = max(min, min(x, max)).

    Gradient: ∂L/∂x = ∂L/∂y where min ≤ x ≤ max, 0 elsewhere.
    Shapes: bottom and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/clip.html
    """

    backward_reads = ("bottom",)
    param: ClipParameter = param_of(ClipParameter)
    cases = (
        Case(
            'type: "Clip" clip_param { min: -1 max: 2 }',
            {"x": [[-3.0, -0.5, 1.5, 5.0]]},
            {"y": [[-1.0, -0.5, 1.5, 2.0]]},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        example = "both bounds, clip_param { min: 0 max: 6 }"
        for name in ("min", "max"):
            if not p.has(name):
                self.fail(f"{name} is missing", "clip_param", expected=example)
        if p.min > p.max:
            self.fail(f"min {p.min:g} is above max {p.max:g}", "clip_param", "min")

    def prepare(self) -> None:
        self._inside = np.empty(self.bottom_shapes[0], bool)
        self._below = np.empty(self.bottom_shapes[0], bool)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.minimum(bottom[0], self.param.max, out=top[0])
        np.maximum(top[0], self.param.min, out=top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (x,), (dy,), (dx,) = bottom, top_diff, bottom_diff
        if dx is not None:
            np.greater_equal(x, self.param.min, self._inside)
            np.less_equal(x, self.param.max, self._below)
            np.logical_and(self._inside, self._below, self._inside)
            np.multiply(dy, self._inside, dx)
