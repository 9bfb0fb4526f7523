"""Flatten: several axes become one."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class FlattenParameter(LayerMessage, field="flatten_param", number=135):
    """The axes that become one."""

    axis: int = field(1, "int32", default=1, doc="the first axis; negative from the end")
    end_axis: int = field(2, "int32", default=-1, doc="the last axis; negative from the end")


class SameValues(Layer):
    """A layer whose top has the bottom's values in the same order, in another shape.

    Gradient: ∂L/∂x = ∂L/∂y, in the bottom's shape."""

    backward_reads = ()

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0].reshape(bottom[0].shape), bottom[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0].reshape(top_diff[0].shape), top_diff[0])


@register
class Flatten(SameValues):
    """The axes from `axis` to `end_axis`, both included, become one.

    Gradient: ∂L/∂x = ∂L/∂y, in the bottom's shape.
    Shapes: (N, C, H, W) becomes (N, C·H·W) by default.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/flatten.html
    """

    rearranges = True
    param: FlattenParameter = param_of(FlattenParameter)
    cases = (
        Case(
            'type: "Flatten"',
            {"x": [[[1.0, 2.0], [3.0, 4.0]]]},
            {"y": [[1.0, 2.0, 3.0, 4.0]]},
        ),
        Case(
            'type: "Flatten" flatten_param { axis: 0 end_axis: -2 }',
            {"x": [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]},
            {"y": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]},
        ),
        Case('type: "Flatten" flatten_param { axis: 1 end_axis: 2 }', {"x": random(2, 3, 4, 2)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,) = bottom
        first = self.axis(self.param.axis, len(shape), "flatten_param", "axis")
        last = self.axis(self.param.end_axis, len(shape), "flatten_param", "end_axis")
        if first > last:
            self.fail(
                f"axis is {first} and end_axis is {last}",
                "flatten_param",
                expected="axis at or before end_axis",
            )
        return [(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])]
