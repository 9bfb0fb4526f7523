"""ChannelScale: all channels of a place times one factor."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "channel_scale_param"


class ChannelScaleParameter(LayerMessage, field=PARAM, number=1308):
    """Which ways the factor goes."""

    do_forward: bool = field(1, "bool", default=True, doc="false: y = x")
    do_backward_feature: bool = field(2, "bool", default=True, doc="false: ∂L/∂x = ∂L/∂y")
    do_backward_scale: bool = field(3, "bool", default=True, doc="false: ∂L/∂s = 0")
    global_scale: bool = field(4, "bool", default=False, doc="a kept factor; refused if true")
    max_global_scale: float = field(5, "float", default=1000.0, idle="for global_scale")
    min_global_scale: float = field(6, "float", default=0.0, idle="for global_scale")
    init_global_scale: float = field(7, "float", default=1.0, idle="for global_scale")


@register
class ChannelScale(Layer):
    """y = s·x, with one factor s for each sample and place.

    Gradients: ∂L/∂x = s·∂L/∂y;  ∂L/∂s = Σ over the channels of x·∂L/∂y.
    Shapes: x and y (N, C, …), s (N, …) of as many values as there are places in all.
    Source: happynear/caffe-windows, for scores of faces times the length of their features.
    """

    bottoms = (2, 2)
    backward_reads = ("bottom",)
    extension = f"happynear/caffe-windows, there {PARAM} = 237"
    param: ChannelScaleParameter = param_of(ChannelScaleParameter)
    cases = (
        Case(
            'type: "ChannelScale"',
            {"x": [[1.0, 2.0], [3.0, 4.0]], "s": [2.0, -1.0]},
            {"y": [[2.0, 4.0], [-3.0, -4.0]]},
        ),
        Case('type: "ChannelScale"', {"x": random(2, 3, 2, 2), "s": random(2, 1, 2, 2)}),
        Case(
            f'type: "ChannelScale" {PARAM} {{ do_forward: false do_backward_feature: false '
            "do_backward_scale: false }",
            {"x": [[1.0, 2.0]], "s": [[9.0]]},
            {"y": [[1.0, 2.0]]},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        if self.param.global_scale:
            self.fail("global_scale is not followed here", PARAM, "global_scale", expected="false")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, s = bottom
        if len(x) < 2 or not s or s[0] != x[0] or math.prod(s[1:]) != math.prod(x[2:]):
            said = f'bottom "{self.spec.bottom[1]}" is {show(s)}, but "{self.spec.bottom[0]}" is '
            self.fail(said + show(x), "bottom", index=1, expected="a factor for each place")
        return [x]

    def prepare(self) -> None:
        x = self.bottom_shapes[0]
        self._factors: Shape = (x[0], 1, *x[2:])

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if self.param.do_forward:
            np.multiply(bottom[0], bottom[1].reshape(self._factors), top[0])
        else:
            np.copyto(top[0], bottom[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (x, s), dy, (dx, ds) = bottom, top_diff[0], bottom_diff
        if dx is not None and self.param.do_backward_feature:
            np.multiply(dy, s.reshape(self._factors), dx)
        elif dx is not None:
            np.copyto(dx, dy)
        if ds is not None and self.param.do_backward_scale:
            ds[...] = (x * dy).sum(1).reshape(ds.shape)
        elif ds is not None:
            ds.fill(0)
