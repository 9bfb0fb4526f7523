"""Reorg: blocks of pixels become channels, as YOLO v2 joins feature maps of two sizes."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ReorgParameter(LayerMessage, field="reorg_param", number=303):
    """The side of a block."""

    stride: int = field(1, "uint32", default=2, least=1, doc="side s of a block of pixels")
    reverse: bool = field(2, "bool", default=False, doc="from channels to blocks?")


@register
class Reorg(Layer):
    """Each image of C channels counts as one of C/s² channels whose sides are s times as long,
    and that one is taken apart: for c = k·(C/s²) + c₂, k = s·a + b,
    y[flat(c, h, w)] = z[c₂, s·h + a, s·w + b] with z the long image and flat(c, h, w) the place of
    the value (c, h, w) in x; so y has C·s² channels and sides of H/s and W/s. This is Darknet's
    order, not that of a pixel shuffle. With `reverse` the same the other way round:
    y[c₂, s·h + a, s·w + b] = x[flat(c, h, w)], of C/s² channels and sides of s·H and s·W.

    Gradient: ∂L/∂x is ∂L/∂y put back. (The forks' own backward pass is empty or not finished.)
    Shapes: x (N, C, H, W), C a multiple of s², and H and W of s without `reverse`.
    Source: Redmon and Farhadi 2016, YOLO9000, and its Caffe forks. reorg_param is 303 in
    choasup/caffe-yolo9000, 149 in eric612/MobileNet-YOLO and 159 in Intel's Caffe; the first is
    used here, and text does not tell them apart.
    """

    backward_reads = ()
    extension = "YOLO forks (choasup/caffe-yolo9000, eric612/MobileNet-YOLO), reorg_param = 303"
    param: ReorgParameter = param_of(ReorgParameter)
    cases = (
        Case(
            'type: "Reorg" reorg_param { stride: 2 }',
            # 4 channels of 2 x 2 count as one plane of 4 x 4: rows 0-3, 4-7, 8-11, 12-15
            {"x": np.arange(16.0).reshape(1, 4, 2, 2)},
            {
                "y": np.array([0.0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]).reshape(
                    1, 16, 1, 1
                )
            },
        ),
        Case('type: "Reorg" reorg_param { stride: 2 }', {"x": random(2, 8, 4, 6)}),
        Case('type: "Reorg" reorg_param { stride: 2 reverse: true }', {"x": random(2, 8, 2, 3)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, shape, s = self.param, bottom[0], self.param.stride
        if len(shape) != 4 or shape[1] % (s * s):
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}',
                "bottom",
                expected=f"N x C x H x W, with C a multiple of {s * s}",
            )
        n, c, h, w = shape
        if p.reverse:
            return [(n, c // (s * s), h * s, w * s)]
        if h % s or w % s:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}',
                "bottom",
                expected=f"sides that {s} divides",
            )
        return [(n, c * s * s, h // s, w // s)]

    def prepare(self) -> None:
        n, c, h, w = self.bottom_shapes[0]
        s = self.param.stride
        self._long = (n, c // (s * s), h, s, w, s)
        self._taken = (n, s, s, c // (s * s), h, w)

    def _apart(self, source: Array, target: Array) -> None:
        """Take blocks apart: (N, C₂, H, a, W, b) to (N, a, b, C₂, H, W)."""
        blocks = source.reshape(self._long).transpose(0, 3, 5, 1, 2, 4)
        np.copyto(target.reshape(self._taken), blocks)

    def _together(self, source: Array, target: Array) -> None:
        blocks = target.reshape(self._long).transpose(0, 3, 5, 1, 2, 4)
        np.copyto(blocks, source.reshape(self._taken))

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (self._together if self.param.reverse else self._apart)(bottom[0], top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            (self._apart if self.param.reverse else self._together)(top_diff[0], bottom_diff[0])
