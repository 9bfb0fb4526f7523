"""Bias: a learned or given blob is added, repeated along the other axes."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import Message, field
from caffelite.schema.net import LayerMessage


class BiasParameter(LayerMessage, field="bias_param", number=141):
    """Which axes the bias has."""

    axis: int = field(1, "int32", default=1, doc="the axis of x that the bias's first axis is")
    num_axes: int = field(
        2, "int32", default=1, doc="axes of a learned bias; -1: all the rest, 0: a scalar"
    )
    filler: FillerParameter = field(3, FillerParameter, doc="first values of a learned bias")


class Alignment:
    """Where the smaller operand lies on x: `small` is its shape, and lies on x's axes from `axis`.

    With two bottoms it is the second; with one, it is learned and `num_axes` says what it spans."""

    def __init__(self, layer: Layer, bottom: Shapes, param: Message, path: str) -> None:
        x, first, count = bottom[0], param.get("axis"), param.get("num_axes")
        is_scalar = not bottom[1] if len(bottom) > 1 else count == 0
        self.axis = 0 if is_scalar else layer.axis(first, len(x), path, "axis")
        if len(bottom) > 1:
            self.small = bottom[1]
            if x[self.axis : self.axis + len(self.small)] != self.small:
                layer.fail(
                    f'bottom "{layer.spec.bottom[1]}" is {show(self.small)}, which does not lie on '
                    f'"{layer.spec.bottom[0]}", {show(x)}, from axis {self.axis} on',
                    "bottom",
                )
        else:
            rest = len(x) - self.axis
            if not -1 <= count <= rest:
                layer.fail(
                    f"num_axes is {count}, but a blob of {len(x)} axes has {rest} from axis "
                    f"{self.axis} on",
                    path,
                    "num_axes",
                    expected=f"-1 to {rest}",
                )
            end = len(x) if count == -1 else self.axis + count
            self.small = x[self.axis : end]
        for declared in layer.declared:
            if declared.shape != self.small:
                layer.fail(
                    f'bottom "{layer.spec.bottom[0]}" is {show(x)}: that takes a parameter of '
                    f"{show(self.small)}, but it is {show(declared.shape)}",
                    "bottom",
                )
        end = self.axis + len(self.small)
        self._view: Shape = (*self.small, *[1] * (len(x) - end))
        self._others = (*range(self.axis), *range(end, len(x)))

    def spread(self, values: Array) -> Array:
        """The small operand so shaped that NumPy repeats it along x's other axes."""
        return values.reshape(self._view)

    def gather(self, x: Array) -> Array:
        """The gradient's way back: x summed over its other axes."""
        return np.asarray(np.add.reduce(x, self._others))


@register
class Bias(Layer):
    """y = x + b, with b repeated along the axes of x that it lacks.

    b is the second bottom or, with one bottom, learned. Its axes lie on x's from `axis` on: with x
    (N, C, H, W) and axis 1, b may be (), (C,), (C, H) or (C, H, W).

    Gradients: ∂L/∂x = ∂L/∂y;  ∂L/∂b = Σ over the repeated axes of ∂L/∂y.
    Shapes: x and y alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/bias.html
    """

    bottoms = (1, 2)
    in_place = True
    backward_reads = ()
    param: BiasParameter = param_of(BiasParameter)
    cases = (
        Case(
            'type: "Bias"',
            {"x": [[1.0, 2.0], [3.0, 4.0]]},
            {"y": [[11.0, 22.0], [13.0, 24.0]]},
            params=[[10.0, 20.0]],
        ),
        Case(
            'type: "Bias" bias_param { axis: 0 }',
            {"x": [[1.0, 2.0], [3.0, 4.0]], "b": [10.0, 20.0]},
            {"y": [[11.0, 12.0], [23.0, 24.0]]},
        ),
        Case(
            'type: "Bias" bias_param { num_axes: 0 }',
            {"x": [[1.0, 2.0], [3.0, 4.0]]},
            {"y": [[1.5, 2.5], [3.5, 4.5]]},
            params=[0.5],
        ),
        Case('type: "Bias" bias_param { num_axes: -1 }', {"x": random(2, 3, 2)}),
        Case('type: "Bias" bias_param { axis: -2 num_axes: 1 }', {"x": random(2, 3, 2)}),
        Case('type: "Bias"', {"x": random(2, 3, 2, 2), "b": random(3, 2)}),
        Case('type: "Bias"', {"x": random(2, 3), "b": random()}),
    )

    def setup(self, bottom: Shapes) -> None:
        if len(bottom) == 1:
            small = Alignment(self, bottom, self.param, "bias_param").small
            self.declare(small, self.param.filler)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._bias = Alignment(self, bottom, self.param, "bias_param")
        return [bottom[0]]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        b = bottom[1] if len(bottom) > 1 else self.params[0].data
        np.add(bottom[0], self._bias.spread(b), top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        (dy,), dx = top_diff, bottom_diff[0]
        if len(bottom) == 1:
            if self.learns[0]:
                self.params[0].diff.__iadd__(self._bias.gather(dy))
        elif bottom_diff[1] is not None:
            np.copyto(bottom_diff[1], self._bias.gather(dy))
        if dx is not None and dx is not dy:
            np.copyto(dx, dy)
