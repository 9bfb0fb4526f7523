"""Upsample: max pooling undone, or each pixel repeated."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.rows import read_index
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class UpsampleParameter(LayerMessage, field="upsample_param", number=149):
    """The new size, as factors or itself."""

    scale: int = field(1, "uint32", default=2, least=1, doc="factor on height and width")
    scale_h: int = field(2, "uint32", least=1, doc="factor on the height")
    scale_w: int = field(3, "uint32", least=1, doc="factor on the width")
    pad_out_h: bool = field(4, "bool", default=False, doc="one row less (with a factor of 2)")
    pad_out_w: bool = field(5, "bool", default=False, doc="one column less (with a factor of 2)")
    upsample_h: int = field(6, "uint32", least=1, doc="height of the top, instead of a factor")
    upsample_w: int = field(7, "uint32", least=1, doc="width of the top, instead of a factor")
    stride: int = field(8, "uint32", least=1, doc="the same as scale, for one bottom")


@register
class Upsample(Layer):
    """Two bottoms: y[m_i] = x_i in each channel of each image, 0 elsewhere, where m is the mask
    that Pooling gives as its second top: each value goes back to where it came from. Where places
    repeat, the last value stands. One bottom: each pixel is repeated, y[i, j] = x[⌊i/s⌋, ⌊j/s⌋].

    Gradient: two bottoms: ∂L/∂x_i = ∂L/∂y[m_i], none for the mask (as in the fork, also for a value
    that another one overwrote); one: ∂L/∂x is the sum of ∂L/∂y over the pixels that became of it.

    Shapes: x and mask (N, C, H, W), top (N, C, height, width).
    Source: the fork of Caffe of SegNet (Badrinarayanan, Kendall & Cipolla 2015), and for one bottom
    that of the YOLO v3 converters. The SegNet fork's number for upsample_param, 137, is taken by
    embed_param in Caffe 1.0; the other's, 149, is used here.
    """

    bottoms = (1, 2)
    backward_reads = ()
    extension = "SegNet fork (there upsample_param is 137) and YOLO forks, upsample_param 149"
    param: UpsampleParameter = param_of(UpsampleParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "Upsample" upsample_param { scale: 2 }',
            {"x": [[[[5.0, 6.0]]]], "mask": [[[[4.0, 3.0]]]]},
            {"y": [[[[0.0, 0.0, 0.0, 6.0], [5.0, 0.0, 0.0, 0.0]]]]},
        ),
        Case(
            'type: "Upsample" upsample_param { scale: 2 }',
            {"x": [[[[1.0, 2.0]]]]},
            {"y": [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]},
        ),
        Case(
            'type: "Upsample" upsample_param { pad_out_h: true pad_out_w: true }',
            {"x": [[[[1.0]], [[2.0]]]], "mask": [[[[0.0]], [[0.0]]]]},
            {"y": [[[[1.0]], [[2.0]]]]},
        ),
        Case(
            'type: "Upsample" upsample_param { upsample_h: 2 upsample_w: 3 }',
            {"x": [[[[7.0]]]], "mask": [[[[5.0]]]]},
            {"y": [[[[0.0, 0.0, 0.0], [0.0, 0.0, 7.0]]]]},
        ),
        Case('type: "Upsample" upsample_param { stride: 3 }', {"x": random(2, 2, 2, 3)}),
        Case('type: "Upsample" upsample_param { scale_h: 1 scale_w: 2 }', {"x": random(2, 3, 2)}),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self._by_mask = len(bottom) == 2
        for a, b in (("scale_h", "scale_w"), ("upsample_h", "upsample_w")):
            if p.has(a) != p.has(b):
                given, missing = (a, b) if p.has(a) else (b, a)
                self.fail(f"{given} without {missing}", "upsample_param", given)
        self._factors = (p.scale, p.scale)
        if p.has("stride"):
            self._factors = (p.stride, p.stride)
        if p.has("scale_h"):
            self._factors = (p.scale_h, p.scale_w)
        if p.has("upsample_h") and not self._by_mask:
            self.fail(
                "upsample_h and upsample_w are for undoing a pooling",
                "upsample_param",
                "upsample_h",
                expected="the pooling's mask as second bottom, or scale instead",
            )
        for pad, factor in zip(("pad_out_h", "pad_out_w"), self._factors):
            if p.get(pad) and (factor != 2 or not self._by_mask):
                self.fail(f"{pad} needs a mask and a factor of 2", "upsample_param", pad)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, shape = self.param, bottom[0]
        if len(shape) < 3 or (self._by_mask and len(shape) != 4):
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}',
                "bottom",
                expected="N x C x H x W",
            )
        self.same_shapes(bottom)
        height, width = (n * factor for n, factor in zip(shape[-2:], self._factors))
        if p.has("upsample_h"):
            height, width = p.upsample_h, p.upsample_w
        self._size = height - p.pad_out_h, width - p.pad_out_w
        return [(*shape[:-2], *self._size)]

    def prepare(self) -> None:
        *lead, height, width = self.bottom_shapes[0]
        images = math.prod(lead)
        fh, fw = self._factors
        self._small = (images, height, 1, width, 1)
        self._large = (images, height, fh, width, fw)
        if self._by_mask:
            self._place = np.empty((images, height * width), np.intp)
            self._start = np.arange(images)[:, None] * math.prod(self._size)

    def propagates(self, index: int) -> bool:
        return index == 0

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = bottom[0], top[0]
        if not self._by_mask:
            np.copyto(y.reshape(self._large), x.reshape(self._small))
            return
        what = f"places in {self._size[0]} x {self._size[1]} pixels"
        read_index(self, 1, bottom[1], math.prod(self._size), what, self._place.reshape(-1))
        np.add(self._place, self._start, self._place)
        y.fill(0)
        y.reshape(-1)[self._place] = x.reshape(self._place.shape)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dy, dx = top_diff[0], bottom_diff[0]
        if dx is None:
            return
        if self._by_mask:
            np.take(dy.reshape(-1), self._place, None, dx.reshape(self._place.shape), "clip")
        else:
            dy = dy.reshape(self._large)
            np.add.reduce(dy, (2, 4), out=dx.reshape(self._small), keepdims=True)
