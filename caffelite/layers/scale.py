"""Scale: a learned or given blob is multiplied, repeated along the other axes."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.bias import Alignment
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ScaleParameter(LayerMessage, field="scale_param", number=142):
    """Which axes the scale has, and whether a bias comes after it."""

    axis: int = field(1, "int32", default=1, doc="the axis of x that the scale's first axis is")
    num_axes: int = field(
        2, "int32", default=1, doc="axes of a learned scale; -1: all the rest, 0: a scalar"
    )
    filler: FillerParameter = field(
        3, FillerParameter, doc="first values of a learned scale; 1 if not given"
    )
    bias_term: bool = field(4, "bool", default=False, doc="add a learned bias?")
    bias_filler: FillerParameter = field(5, FillerParameter, doc="first values of the bias")


@register
class Scale(Layer):
    """y = s·x (+ b), with s and b repeated along the axes of x that they lack.

    s is the second bottom or, with one bottom, learned; b is learned and has the shape of s. Its
    axes lie on x's from `axis` on: with x (N, C, H, W) and axis 1, s may be (), (C,), (C, H) or
    (C, H, W). After BatchNorm it is the γ and β of the paper.

    Gradients: ∂L/∂x = ∂L/∂y · s;  ∂L/∂s = Σ over the repeated axes of ∂L/∂y · x;  ∂L/∂b = the same
    sum of ∂L/∂y.
    Shapes: x and y alike, any. Parameters: s, b; with two bottoms b alone.
    The gradient of s needs x: written in place, x is kept as well.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/scale.html
    """

    rescales = True
    bottoms = (1, 2)
    in_place = True
    backward_reads = ("bottom",)
    param: ScaleParameter = param_of(ScaleParameter)
    cases = (
        Case(
            'type: "Scale" scale_param { bias_term: true }',
            {"x": [[1.0, 2.0], [3.0, 4.0]]},
            {"y": [[10.5, 39.0], [30.5, 79.0]]},
            params=[[10.0, 20.0], [0.5, -1.0]],
        ),
        Case(
            'type: "Scale" scale_param { axis: 0 }',
            {"x": [[1.0, 2.0], [3.0, 4.0]], "s": [10.0, 20.0]},
            {"y": [[10.0, 20.0], [60.0, 80.0]]},
        ),
        Case(
            'type: "Scale" scale_param { num_axes: 0 bias_term: true }',
            {"x": [[1.0, 2.0], [3.0, 4.0]]},
            {"y": [[1.5, 3.5], [5.5, 7.5]]},
            params=[2.0, -0.5],
        ),
        Case('type: "Scale" scale_param { axis: 0 num_axes: -1 }', {"x": random(2, 3, 2)}),
        Case('type: "Scale" scale_param { axis: -2 }', {"x": random(2, 3, 2)}),
        Case(
            'type: "Scale" scale_param { bias_term: true }',
            {"x": random(2, 3, 2, 2), "s": random(3, 2)},
        ),
        Case('type: "Scale"', {"x": random(2, 3), "s": random()}),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        small = Alignment(self, bottom, p, "scale_param").small
        if len(bottom) == 1:
            one = FillerParameter(type="constant", value=1.0)
            self.declare(small, p.filler if p.has("filler") else one)
        if p.bias_term:
            self.declare(small, p.bias_filler)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._scale = Alignment(self, bottom, self.param, "scale_param")
        return [bottom[0]]

    def prepare(self) -> None:
        self._product = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, (y,) = bottom[0], top
        s = bottom[1] if len(bottom) > 1 else self.params[0].data
        np.multiply(x, self._scale.spread(s), y)
        if self.param.bias_term:
            np.add(y, self._scale.spread(self.params[-1].data), y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        x, (dy,), dx = bottom[0], top_diff, bottom_diff[0]
        s = bottom[1] if len(bottom) > 1 else self.params[0].data
        if self.param.bias_term and self.learns[-1]:
            self.params[-1].diff.__iadd__(self._scale.gather(dy))
        if len(bottom) == 1:
            if self.learns[0]:
                np.multiply(dy, x, self._product)
                self.params[0].diff.__iadd__(self._scale.gather(self._product))
        elif bottom_diff[1] is not None:
            np.multiply(dy, x, self._product)
            np.copyto(bottom_diff[1], self._scale.gather(self._product))
        if dx is not None:
            np.multiply(dy, self._scale.spread(s), dx)
