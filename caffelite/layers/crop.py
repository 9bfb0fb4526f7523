"""Crop: a blob cut to the size of another."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class CropParameter(LayerMessage, field="crop_param", number=144):
    """Which axes are cut and where the cut starts."""

    axis: int = field(1, "int32", default=2, doc="axes from here on are cut")
    offset: list[int] = repeated(
        2, "uint32", doc="where the cut starts: one for each axis cut, or one for all (0)"
    )


@register
class Crop(Layer):
    """y = x[…, o:o+n, …]: along each axis from `axis` on, the n values from the offset o on, where
    n is the second bottom's extent. Of the second bottom only the shape is used.

    Gradient: ∂L/∂x = ∂L/∂y inside the cut, 0 outside; none for the second bottom.
    Shapes: x (N, C, H, W) and r (…, …, h, w) give (N, C, h, w), with the default `axis` 2.
    Source: Long, Shelhamer & Darrell 2015; https://caffe.berkeleyvision.org/tutorial/layers/crop.html
    """

    bottoms = (2, 2)
    backward_reads = ()
    param: CropParameter = param_of(CropParameter)
    cases = (
        Case(
            'type: "Crop" crop_param { axis: 1 offset: 1 }',
            {"x": [[1.0, 2.0, 3.0, 4.0]], "size": [[0.0, 0.0]]},
            {"y": [[2.0, 3.0]]},
        ),
        Case(
            'type: "Crop" crop_param { axis: -2 offset: 0 offset: 1 }',
            {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "size": [[0.0, 0.0]]},
            {"y": [[2.0, 3.0]]},
        ),
        Case(
            'type: "Crop" crop_param { offset: 1 }',
            {"x": random(2, 3, 4, 5), "r": random(1, 1, 2, 3)},
        ),
        Case('type: "Crop"', {"x": random(1, 1, 3, 3), "r": random(1, 1, 3, 2)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, size = bottom
        first = self.axis(self.param.axis, len(x), "crop_param", "axis")
        offsets = self.param.offset or [0]
        if len(offsets) == 1:
            offsets = offsets * (len(x) - first)
        if len(offsets) != len(x) - first:
            self.fail(
                f"{len(offsets)} offsets for the axes from {first} to {len(x) - 1}",
                "crop_param",
                "offset",
                expected=f"one for all, or {len(x) - first}",
            )
        if len(size) != len(x):
            self._refuse(x, size, "they differ in their number of axes")
        for axis, offset in enumerate(offsets, first):
            if offset + size[axis] > x[axis]:
                self._refuse(
                    x,
                    size,
                    f"{size[axis]} from {offset} on is more than there is along axis {axis}",
                )
        self._cut = (
            *(slice(None),) * first,
            *(slice(o, o + n) for o, n in zip(offsets, size[first:])),
        )
        return [(*x[:first], *size[first:])]

    def _refuse(self, x: Shape, size: Shape, why: str) -> None:
        names = self.spec.bottom
        self.fail(
            f'"{names[0]}", {show(x)}, cannot be cut to "{names[1]}", {show(size)}: {why}', "bottom"
        )

    def propagates(self, index: int) -> bool:
        return index == 0

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], bottom[0][self._cut])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is not None:
            dx.fill(0)
            dx[self._cut] = top_diff[0]
