"""ReLU: the rectified linear unit, leaky if asked."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, registry
from caffelite.layers.cases import Case
from caffelite.schema.common import NO_CHOICE, Engine
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter


class ReLUParameter(LayerMessage, field="relu_param", number=123):
    """The slope below zero."""

    negative_slope: float = field(1, "float", default=0.0, doc="slope below zero (leaky ReLU)")
    engine: Engine = field(2, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)
    relu6: bool = field(3, "bool", default=False, doc="Synopsys: end at 6, as ReLU6 does")


@lru_cache(maxsize=64)
def zeros(shape: Shape, dtype: np.dtype) -> Array:
    """Zeros that all layers share, not to be written."""
    array = np.zeros(shape, dtype)
    array.flags.writeable = False
    return array


@register
class ReLU(Layer):
    """y = max(x, 0) + s·min(x, 0), with the slope s = `negative_slope`.

    Gradient: ∂L/∂x = ∂L/∂y where x > 0, s·∂L/∂y elsewhere (at x = 0 too).
    Shapes: bottom and top alike, any.
    Source: Nair & Hinton 2010; https://caffe.berkeleyvision.org/tutorial/layers/relu.html
    """

    rectifies = True
    in_place = True
    backward_reads = ("top",)
    param: ReLUParameter = param_of(ReLUParameter)
    cases = (
        Case(
            'type: "ReLU"',
            {"x": [[-2.0, -0.5, 0.5, 2.0]]},
            {"y": [[0.0, 0.0, 0.5, 2.0]]},
        ),
        Case(
            'type: "ReLU" relu_param { negative_slope: 0.1 }',
            {"x": [[-2.0, -0.5, 0.5, 2.0]]},
            {"y": [[-0.2, -0.05, 0.5, 2.0]]},
        ),
        Case(
            'type: "ReLU" relu_param { negative_slope: -1 }',
            {"x": [[-2.0, 3.0]]},
            {"y": [[2.0, 3.0]]},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return registry["ReLU6"] if spec.get("relu_param").relu6 else cls

    def setup(self, bottom: Shapes) -> None:
        self.slope = self.param.negative_slope
        if self.slope < 0:
            # The sign of y no longer tells that of x, so x must be kept.
            self.in_place, self.backward_reads = False, ("bottom",)

    def prepare(self) -> None:
        self._slope = np.array(self.slope, self.dtype)
        self._positive: Array | None = None
        self._zero: Array | None = None

    @property
    def positive(self) -> Array:
        """For which values of x? Memory is taken when it is first asked for: a pass that is fused
        with others, or that no backward pass follows, needs none."""
        if self._positive is None:
            self._positive = np.empty(self.bottom_shapes[0], bool)
        return self._positive

    @property
    def zero(self) -> Array:
        """Zeros to compare x with. NumPy is much faster at that than with a number; one plane's
        worth, or one sample's, will do where the batch is large."""
        if self._zero is None:
            shape = self.bottom_shapes[0]
            few = shape if math.prod(shape) <= 16384 else shape[min(2, len(shape) - 1) :]
            self._zero = zeros(few, np.dtype(self.dtype))
        return self._zero

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,) = bottom, top
        if self.slope == 0:
            np.maximum(x, self.zero, out=y)
        else:
            np.copyto(y, x)
            np.greater(x, self.zero, self.positive)
            self._lower(y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (dy,), (dx,) = top_diff, bottom_diff
        if dx is None:
            return
        np.greater(bottom[0] if self.slope < 0 else top[0], self.zero, self.positive)
        if self.slope == 0:
            np.multiply(dy, self.positive, dx)
        else:
            np.copyto(dx, dy)
            self._lower(dx)

    def _lower(self, array: Array) -> None:
        """Multiply by the slope where x is not positive."""
        factor = np.where(self.positive, self.dtype.type(1), self._slope)
        np.multiply(array, factor, array)
