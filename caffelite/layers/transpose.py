"""Transpose: the axes of a blob in another order."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class TransposeParameter(LayerMessage, field="transpose_param", number=1142):
    """The new order."""

    dim: list[int] = repeated(1, "int32", doc="for each axis of the top which one of the bottom")


class ReverseParameter(LayerMessage, field="reverse_param", number=1143):
    """What is turned round."""

    axis: int = field(1, "int32", default=0, doc="the axis that is turned round")


@register
class Transpose(Layer):
    """y = x with its axes in the order `dim`: axis i of y is axis dim_i of x, as Permute does.

    Gradient: ∂L/∂x is ∂L/∂y in the order before.
    Shapes: y has the extents of x in the order `dim`, which names each axis once.
    Source: tianzhi0549/CTPN; its transpose_param is 142, Caffe's tile_param is 138 and this number
    parameter_param's neighbour, so 1142 is used here.
    """

    backward_reads = ()
    extension = "CTPN's fork (tianzhi0549/CTPN), there transpose_param = 142"
    param: TransposeParameter = param_of(TransposeParameter)
    cases = (
        Case(
            'type: "Transpose" transpose_param { dim: 1 dim: 0 }',
            {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
            {"y": [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]},
        ),
        Case(
            'type: "Transpose" transpose_param { dim: 2 dim: 0 dim: 3 dim: 1 }',
            {"x": random(2, 3, 4, 2)},
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        order, shape = list(self.param.dim), bottom[0]
        if sorted(order) != list(range(len(shape))):
            self.fail(
                f"dim is {order} for a blob of {len(shape)} axes",
                "transpose_param",
                "dim",
                expected=f"each axis from 0 to {len(shape) - 1} once",
            )
        self._order, self._back = order, [int(i) for i in np.argsort(order)]
        return [tuple(shape[i] for i in order)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], bottom[0].transpose(self._order))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], top_diff[0].transpose(self._back))


@register
class Reverse(Layer):
    """y = x with one axis in the opposite order: y[…, i, …] = x[…, n − 1 − i, …].

    Gradient: ∂L/∂x is ∂L/∂y in the opposite order.
    Shapes: x and y alike, any.
    Source: tianzhi0549/CTPN; its reverse_param is 143, Caffe's input_param, so 1143 is used here.
    """

    backward_reads = ()
    extension = "CTPN's fork (tianzhi0549/CTPN), there reverse_param = 143"
    param: ReverseParameter = param_of(ReverseParameter)
    cases = (
        Case(
            'type: "Reverse" reverse_param { axis: 1 }',
            {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
            {"y": [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]},
        ),
        Case('type: "Reverse"', {"x": random(3, 2, 2)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._axis = self.axis(self.param.axis, len(bottom[0]), "reverse_param", "axis")
        return [bottom[0]]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], np.flip(bottom[0], self._axis))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], np.flip(top_diff[0], self._axis))
