"""Flip: images turned left to right, or upside down."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "flip_param"


class FlipParameter(LayerMessage, field=PARAM, number=1212):
    """Which axes are turned round."""

    flip_width: bool = field(1, "bool", default=True, doc="the columns, left to right?")
    flip_height: bool = field(2, "bool", default=False, doc="the rows, upside down?")


@register
class Flip(Layer):
    """y[n, c, h, w] = x[n, c, h', w'] with w' = W − 1 − w if `flip_width`, else w, and h' = H − 1 −
    h if `flip_height`, else h.

    Gradient: ∂L/∂x is ∂L/∂y turned back.
    Shapes: x and y (N, C, H, W).
    Source: happynear/caffe-windows, whose nets of faces add up an image and its mirror image.
    """

    backward_reads = ()
    extension = f"happynear/caffe-windows, there {PARAM} = 212"
    param: FlipParameter = param_of(FlipParameter)
    cases = (
        Case(
            'type: "Flip"',
            {"x": [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]},
            {"y": [[[[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]]]},
        ),
        Case(
            f'type: "Flip" {PARAM} {{ flip_width: false flip_height: true }}',
            {"x": [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]},
            {"y": [[[[4.0, 5.0, 6.0], [1.0, 2.0, 3.0]]]]},
        ),
        Case(f'type: "Flip" {PARAM} {{ flip_height: true }}', {"x": random(2, 3, 2, 4)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if len(bottom[0]) != 4:
            name, found = self.spec.bottom[0], show(bottom[0])
            self.fail(f'bottom "{name}" is {found}', "bottom", expected="N x C x H x W")
        return [bottom[0]]

    def turned(self, array: Array) -> Array:
        """A view of it, turned round."""
        if self.param.flip_height:
            array = array[:, :, ::-1]
        return array[..., ::-1] if self.param.flip_width else array

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], self.turned(bottom[0]))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], self.turned(top_diff[0]))
