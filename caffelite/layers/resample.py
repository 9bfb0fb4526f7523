"""Resample: images of another size, by one of three ways of interpolation."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.downsample import shares, sized
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ResampleType(IntEnum):
    """How values between pixels are found."""

    NEAREST = 1
    LINEAR = 2
    CUBIC = 3
    AREA = 4


class ResampleParameter(LayerMessage, field="resample_param", number=155):
    """The new size, where no second bottom says it, and the way."""

    width: int = field(1, "uint32", default=0, doc="width of the top")
    height: int = field(2, "uint32", default=0, doc="height of the top")
    type: ResampleType = field(
        3, ResampleType, default=ResampleType.LINEAR, doc="NEAREST, LINEAR or CUBIC"
    )
    antialias: bool = field(
        4, "bool", default=True, doc="the weights reach further where images become smaller"
    )
    factor: float = field(5, "float", default=1, idle="the fork reads the size alone")


@register
class Resample(Layer):
    """Y = A·X·Bᵀ for each image X. Row i of the top lies at f·i + g/2 − 1/2 among the bottom's
    rows, with f the bottom's height over the top's and g the same of the widths (the fork
    exchanges the two here; they are one where the sides keep their ratio); likewise for columns.
    NEAREST takes the row that is nearest; else row j weighs w((f·i + g/2 − 1/2 − j)/s), divided by
    the sum of these: LINEAR w(t) = 1 − |t|, CUBIC 1.5|t|³ − 2.5t² + 1 up to 1 and
    −0.5|t|³ + 2.5t² − 4|t| + 2 up to 2, 0 beyond. s is f with `antialias`, if the image becomes
    smaller along either side, else 1.

    The size is that of a second bottom if there is one, else `height` and `width`.

    Gradient: ∂L/∂X = Aᵀ·(∂L/∂Y)·B; none for the second bottom.
    Shapes: (N, C, H, W) to (N, C, height, width).
    Source: Dosovitskiy et al. 2015, FlowNet (lmb-freiburg); it has no backward pass.
    """

    bottoms = (1, 2)
    backward_reads = ()
    extension = "FlowNet's forks, resample_param = 155"
    param: ResampleParameter = param_of(ResampleParameter)
    cases = (
        Case(
            'type: "Resample" resample_param { height: 2 width: 4 }',
            # places -1/4, 1/4, 3/4 and 5/4 among two columns
            {"x": [[[[1.0, 5.0]]]]},
            {"y": [[[[1.0, 2.0, 4.0, 5.0]] * 2]]},
        ),
        Case(
            'type: "Resample" resample_param { height: 1 width: 2 }',
            # places 1/2 and 5/2; weights 3/4, 3/4, 1/4 and 1/4, 3/4, 3/4, by their sum
            {"x": [[[[0.0, 7.0, 14.0, 0.0], [0.0, 7.0, 14.0, 0.0]]]]},
            {"y": [[[[5.0, 7.0]]]]},
        ),
        Case(
            'type: "Resample" resample_param { height: 1 width: 2 type: NEAREST }',
            {"x": [[[[3.0, 5.0, 7.0, 9.0]] * 2]]},
            {"y": [[[[5.0, 9.0]]]]},
        ),
        Case(
            'type: "Resample" resample_param { type: CUBIC antialias: false }',
            {"x": random(2, 2, 5, 4), "size": random(1, 1, 3, 2)},
        ),
        Case(
            'type: "Resample" resample_param { type: CUBIC height: 6 width: 7 }',
            {"x": random(1, 2, 3, 4)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        if self.param.type == ResampleType.AREA:
            self.fail(
                "type is AREA",
                "resample_param",
                "type",
                expected="NEAREST, LINEAR or CUBIC, which the fork has",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        return [(*bottom[0][:2], *sized(self, bottom, "resample_param", "height", "width"))]

    def propagates(self, index: int) -> bool:
        return index == 0

    def prepare(self) -> None:
        old, new = self.bottom_shapes[0][2:], self.top_shapes[0][2:]
        factors = [m / n for m, n in zip(old, new)]
        wide = self.param.antialias and max(factors) > 1
        self._a, self._b = (
            self._weights(new[i], old[i], factors[i], factors[1 - i], wide) for i in (0, 1)
        )

    def _weights(self, n: int, m: int, factor: float, other: float, wide: bool) -> Array:
        at = factor * np.arange(n) + other / 2 - 0.5
        if self.param.type == ResampleType.NEAREST:
            near = np.clip(np.floor(at + 0.5), 0, m - 1)
            nearest: Array = (np.arange(m) == near[:, None]).astype(self.dtype)
            return nearest
        far = np.abs(at[:, None] - np.arange(m)) / (factor if wide else 1)
        if self.param.type == ResampleType.LINEAR:
            weights = np.maximum(0, 1 - far)
        else:
            inner = far * far * (1.5 * far - 2.5) + 1
            outer = far * (far * (2.5 - 0.5 * far) - 4) + 2
            weights = np.where(far <= 1, inner, np.where(far < 2, outer, 0))
        return shares(weights).astype(self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.matmul(self._a @ bottom[0], self._b.T, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.matmul(self._a.T @ top_diff[0], self._b, bottom_diff[0])
