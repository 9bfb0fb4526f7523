"""PaddedConvolution: a convolution whose pads differ from side to side."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolution import Convolution
from caffelite.layers.convolving import PARAM
from caffelite.layers.windows import side_pads


@register
class PaddedConvolution(Convolution):
    """As Convolution, of x with `pad_t` rows of zeros above, `pad_b` below, `pad_l` columns to the
    left and `pad_r` to the right. A layer of type "Convolution" with such fields is this one,
    unless opposite sides are equal: then it is a Convolution with pad_h and pad_w.

    Gradient: as Convolution's.
    Shapes: x (N, C, H, W); H + pad_t + pad_b rows are convolved without a pad, columns likewise.
    Source: Synopsys Caffe (foss-for-synopsys-dwc-arc-processors).
    """

    extension = 'Synopsys Caffe; type "Convolution" there'
    pads_itself = True
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "PaddedConvolution" convolution_param { num_output: 1 kernel_size: 2 '
            "bias_term: false pad_r: 1 pad_b: 1 }",
            {"x": [[[[1.0, 2.0], [3.0, 4.0]]]]},
            {"y": [[[[10.0, 6.0], [7.0, 4.0]]]]},
            params=[[[[[1.0, 1.0], [1.0, 1.0]]]]],
        ),
        Case(
            'type: "PaddedConvolution" convolution_param { num_output: 2 kernel_size: 3 stride: 2 '
            "pad_l: 1 pad_b: 2 }",
            {"x": random(2, 3, 4, 5)},
        ),
    )

    def _padded(self, shape: Shape) -> Shape:
        top, below, left, right = self._pads
        return (*shape[:-2], shape[-2] + top + below, shape[-1] + left + right)

    def setup(self, bottom: Shapes) -> None:
        self._pads = side_pads(self, PARAM) or (0, 0, 0, 0)
        if len(bottom) > 1:
            self.fail("pads of sides go with one bottom and one top", "bottom")
        if len(bottom[0]) < 3 or min(self._pads) < 0:
            self.fail("pads of sides are 0 or more, for two spatial axes", PARAM, "pad_l")
        super().setup([self._padded(bottom[0])])

    def reshape(self, bottom: Shapes) -> list[Shape]:
        return super().reshape([self._padded(bottom[0])])

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        self.bottom_shapes = [self._padded(shape)]
        super().prepare()
        top, _, left, _ = self._pads
        self._big = np.zeros(self.bottom_shapes[0], self.dtype)
        self._big_diff = np.empty_like(self._big)
        self._inside = (..., slice(top, top + shape[-2]), slice(left, left + shape[-1]))
        self.bottom_shapes = [shape]

    def forward(self, bottom: Arrays, top: Arrays, relu: bool = False) -> None:
        self._big[self._inside] = bottom[0]
        super().forward([self._big], top, relu)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        big: Array | None = None if bottom_diff[0] is None else self._big_diff
        self._big[self._inside] = bottom[0]
        super().backward(top, top_diff, [self._big], [big])
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], self._big_diff[self._inside])
