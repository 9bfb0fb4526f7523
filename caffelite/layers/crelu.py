"""CReLU: what is above 0 and what is below, side by side."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class CReLUParameter(LayerMessage, field="crelu_param", number=1160):
    """What becomes of the negative part, and where the parts stand."""

    negative_slope: float = field(1, "float", default=0.0, doc="slope below 0, of both parts")
    concat_axis: int = field(2, "int32", default=1, doc="axis of the two parts")


@register
class CReLU(Layer):
    """y = (f(x), f(−x)) along `concat_axis`, with f(x) = x where x > 0 and `negative_slope`·x
    elsewhere.

    Gradient: ∂L/∂x = f′(x)·∂L/∂y₁ − f′(−x)·∂L/∂y₂.
    Shapes: x of any shape; y the same with the extent of the axis twice.
    Source: Shang et al. 2016, Understanding and Improving CNNs via Concatenated ReLUs.
    """

    backward_reads = ("bottom",)
    extension = "winggan/caffe and others, as crelu_param in some"
    param: CReLUParameter = param_of(CReLUParameter)
    cases = (
        Case(
            'type: "CReLU"',
            {"x": [[1.0, -2.0], [-3.0, 4.0]]},
            {"y": [[1.0, 0.0, 0.0, 2.0], [0.0, 4.0, 3.0, 0.0]]},
        ),
        Case(
            'type: "CReLU" crelu_param { negative_slope: 0.5 concat_axis: -1 }',
            {"x": [[[1.0, -2.0]]]},
            {"y": [[[1.0, -1.0, -0.5, 2.0]]]},
        ),
        Case('type: "CReLU"', {"x": random(2, 3, 2, 2)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        i = self._axis = self.axis(self.param.concat_axis, len(shape), "crelu_param", "concat_axis")
        return [(*shape[:i], 2 * shape[i], *shape[i + 1 :])]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, slope = bottom[0], self.dtype.type(self.param.negative_slope)
        for y, part in zip(np.split(top[0], 2, self._axis), (x, -x)):
            np.multiply(part, np.where(part > 0, 1, slope), y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            x, slope = bottom[0], self.dtype.type(self.param.negative_slope)
            above, below = np.split(top_diff[0], 2, self._axis)
            np.multiply(above, np.where(x > 0, 1, slope), dx)
            dx -= below * np.where(x < 0, 1, slope)
