"""PReLU: a rectified linear unit whose slope below zero is learned."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class PReLUParameter(LayerMessage, field="prelu_param", number=131):
    """The slopes below zero."""

    filler: FillerParameter = field(
        1, FillerParameter, doc="first values of the slopes; 0.25 if not given"
    )
    channel_shared: bool = field(2, "bool", default=False, doc="one slope for all channels?")


@register
class PReLU(Layer):
    """y = max(x, 0) + a_c·min(x, 0), with a learned slope a_c for each channel c.

    Gradients: ∂L/∂x = ∂L/∂y where x > 0, a_c·∂L/∂y elsewhere;
    ∂L/∂a_c = Σ over channel c of ∂L/∂y · min(x, 0).
    Shapes: bottom and top alike, of 2 axes or more, axis 1 the channels; a is (C,), or a scalar
    with `channel_shared`.
    The sign of a slope may change, so the gradient needs x: written in place, x is kept as well.
    Source: He, Zhang, Ren & Sun 2015;
    https://caffe.berkeleyvision.org/tutorial/layers/prelu.html
    """

    backward_reads = ("bottom",)
    param: PReLUParameter = param_of(PReLUParameter)
    cases = (
        Case(
            'type: "PReLU"',
            {"x": [[-2.0, -4.0], [3.0, 5.0]]},
            {"y": [[-0.2, -2.0], [3.0, 5.0]]},
            params=[[0.1, 0.5]],
        ),
        Case(
            'type: "PReLU" prelu_param { channel_shared: true }',
            {"x": [[-2.0, -4.0], [3.0, 5.0]]},
            {"y": [[-1.0, -2.0], [3.0, 5.0]]},
            params=[0.5],
        ),
        Case('type: "PReLU"', {"x": random(2, 3, 2, 2)}),
        Case('type: "PReLU" prelu_param { channel_shared: true }', {"x": random(2, 3, 4)}),
    )

    def setup(self, bottom: Shapes) -> None:
        shape = self._slope_shape(bottom)
        p = self.param
        quarter = FillerParameter(type="constant", value=0.25)
        self.declare(shape, p.filler if p.has("filler") else quarter)

    def _slope_shape(self, bottom: Shapes) -> Shape:
        if len(bottom[0]) < 2:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(bottom[0])}',
                "bottom",
                expected="a blob of 2 axes or more, axis 1 the channels",
            )
        return () if self.param.channel_shared else (bottom[0][1],)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = self._slope_shape(bottom)
        if shape != self.declared[0].shape:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" has {bottom[0][1]} channels, but there are '
                f"{self.declared[0].shape[0]} slopes",
                "bottom",
            )
        return [bottom[0]]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        axes = range(len(shape))
        shared = self.param.channel_shared
        self._slope = self.params[0].data if shared else _along_axis_1(self.params[0].data, shape)
        self._others = tuple(axes) if shared else tuple(i for i in axes if i != 1)
        self._below = np.empty(shape, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x,), (y,), below = bottom, top, self._below
        np.minimum(x, 0, out=below)
        np.multiply(below, self._slope, below)
        np.maximum(x, 0, out=y)
        np.add(y, below, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (x,), (dy,), (dx,), below = bottom, top_diff, bottom_diff, self._below
        if self.learns[0]:
            np.minimum(x, 0, out=below)
            np.multiply(below, dy, below)
            self.params[0].diff.__iadd__(np.add.reduce(below, self._others))
        if dx is not None:
            # [x ≤ 0]·a + [x > 0]: many times as fast as choosing element by element
            np.less_equal(x, 0, below)
            np.multiply(below, self._slope, below)
            np.greater(x, 0, dx)
            np.add(dx, below, dx)
            np.multiply(dy, dx, dx)


def _along_axis_1(values: np.ndarray, shape: Shape) -> np.ndarray:
    """(C,) as (C, 1, 1), to be combined with (N, C, H, W)."""
    return values.reshape(-1, *[1] * (len(shape) - 2))
