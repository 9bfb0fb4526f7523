"""MaskPooling: features of regions times a mask of each."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, register, show
from caffelite.layers.cases import Case, random


@register
class MaskPooling(Layer):
    """y = x · m, the same mask for all channels of a region.

    Gradients: ∂L/∂x = ∂L/∂y · m;  ∂L/∂m = the sum of ∂L/∂y · x over the channels.
    Shapes: x and y (R, C, H, W), masks (R, 1, H, W).
    Source: Dai et al. 2016, Multi-task Network Cascades (daijifeng001/caffe-mnc).
    """

    bottoms = (2, 2)
    backward_reads = ("bottom",)
    extension = "MNC (daijifeng001/caffe-mnc)"
    cases = (
        Case(
            'type: "MaskPooling"',
            {"x": [[[[1.0, 2.0]], [[3.0, 4.0]]]], "mask": [[[[0.5, 0.0]]]]},
            {"y": [[[[0.5, 0.0]], [[1.5, 0.0]]]]},
        ),
        Case('type: "MaskPooling"', {"x": random(2, 3, 2, 2), "m": random(2, 1, 2, 2)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, mask = bottom
        if len(x) != 4 or mask != (x[0], 1, *x[2:]):
            names = self.spec.bottom
            self.fail(
                f'bottom "{names[1]}" is {show(mask)}, but "{names[0]}" is {show(x)}',
                "bottom",
                index=1,
                expected="R x C x H x W, and masks of R x 1 x H x W",
            )
        return [x]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.multiply(bottom[0], bottom[1], top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx, dm = bottom_diff
        if dx is not None:
            np.multiply(top_diff[0], bottom[1], dx)
        if dm is not None:
            np.sum(top_diff[0] * bottom[0], axis=1, keepdims=True, out=dm)
