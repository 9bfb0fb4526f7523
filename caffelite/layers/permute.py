"""Permute: the axes in another order."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import repeated
from caffelite.schema.net import LayerMessage


class PermuteParameter(LayerMessage, field="permute_param", number=202):
    """The new order of the axes."""

    order: list[int] = repeated(
        1, "uint32", doc="which axis comes first, second, ...; those not named follow in order"
    )


@register
class Permute(Layer):
    """y[i₀, i₁, …] = x with its axes in the order `order`: axis k of y is axis order[k] of x.

    Gradient: ∂L/∂x is ∂L/∂y with the axes put back.
    Shapes: (N, C, H, W) with `order: 0 order: 2 order: 3 order: 1` becomes (N, H, W, C).
    Source: the SSD fork of Caffe; Liu et al. 2016, "SSD: Single Shot MultiBox Detector".
    """

    rearranges = True
    backward_reads = ()
    extension = "SSD fork, permute_param 202"
    param: PermuteParameter = param_of(PermuteParameter)
    cases = (
        Case(
            'type: "Permute" permute_param { order: 1 order: 0 }',
            {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
            {"y": [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]},
        ),
        Case(
            'type: "Permute" permute_param { order: 0 order: 2 order: 3 order: 1 }',
            {"x": random(2, 3, 4, 5)},
        ),
        Case(
            'type: "Permute" permute_param { order: 2 }',
            {"x": [[[1.0, 2.0], [3.0, 4.0]]]},
            {"y": [[[1.0, 3.0]], [[2.0, 4.0]]]},
            note="axes 0 and 1 follow",
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,) = bottom
        order = list(self.param.order)
        if len(set(order)) != len(order) or any(axis >= len(shape) for axis in order):
            self.fail(
                f'the order {order} is none of the axes of "{self.spec.bottom[0]}", {show(shape)}',
                "permute_param",
                "order",
                expected=f"axes from 0 to {len(shape) - 1}, each at most once",
            )
        self._order = order + [axis for axis in range(len(shape)) if axis not in order]
        self._back = [self._order.index(axis) for axis in range(len(shape))]
        return [tuple(shape[axis] for axis in self._order)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], bottom[0].transpose(self._order))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], top_diff[0].transpose(self._back))
