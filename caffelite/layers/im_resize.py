"""ImResize: OpenPose's maps, enlarged, and the mean over scales of an image."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "imresize_param"


class ImResizeParameter(LayerMessage, field=PARAM, number=1169):
    """The new size, and the scales of the samples."""

    target_spatial_width: int = field(
        1, "uint32", default=368, least=1, doc="width of the top, without factor"
    )
    target_spatial_height: int = field(
        2, "uint32", default=368, least=1, doc="height of the top, without factor"
    )
    factor: float = field(3, "float", default=0.0, least=0, doc="times as large, if it is not 0")
    start_scale: float = field(
        4, "float", default=1.0, above=0, doc="part that the first image takes of its maps"
    )
    scale_gap: float = field(5, "float", default=0.1, doc="how much less the next one takes")


@register
class ImResize(Layer):
    """The samples are one image at N scales, each in the middle of its maps. Y = (1/N) Σ An·Xn·Bnᵀ,
    where An (height x H) and Bn (width x W) interpolate the middle part of sample n, whose extents
    are H − 2p, p = ⌊⌊H/2⌋·(1 − `start_scale` + n·`scale_gap`)⌋ rows from each border, and W
    likewise. Point k of m lies at (k + 1/2)·M/m − 1/2 among the part's M, and is the cubic
    (Catmull and Rom's, a = −1/2) of the four around it, of which those outside are the border's;
    one that lies below 0 is reckoned as a negative step behind point 0.

    Gradient: ∂L/∂Xn = Anᵀ·(∂L/∂Y)·Bn/N. (The fork has none.)
    Shapes: (N, C, H, W) to (1, C, height, width), which are ⌊factor·H⌋ and ⌊factor·W⌋ with
    `factor`.
    Source: Cao et al. 2017, Realtime Multi-Person 2D Pose Estimation (its fork's GPU code).
    """

    backward_reads = ()
    extension = f"OpenPose's fork (caffe_rtpose), there {PARAM} = 148"
    param: ImResizeParameter = param_of(ImResizeParameter)
    cases = (
        Case(
            # points at -1/4, 1/4, 3/4 and 5/4 of 0 and 16; the rows stay
            f'type: "ImResize" {PARAM} {{ target_spatial_width: 4 target_spatial_height: 1 }}',
            {"x": [[[[0.0, 16.0]]]]},
            {"y": [[[[-0.25, 3.25, 12.75, 17.125]]]]},
        ),
        Case(
            # of the second sample the border of 1 is left out; its middle is 4, whatever the size
            f'type: "ImResize" {PARAM} {{ target_spatial_width: 3 target_spatial_height: 3 '
            "scale_gap: 1 }",
            {"x": [[[[2.0] * 3] * 3], [[[9.0, 9, 9], [9, 4, 9], [9, 9, 9]]]]},
            {"y": [[[[3.0] * 3] * 3]]},
        ),
        Case(
            f'type: "ImResize" {PARAM} {{ factor: 2.6 start_scale: 0.8 scale_gap: 0.3 }}',
            {"x": random(2, 3, 5, 8)},
        ),
        Case(f'type: "ImResize" {PARAM} {{ factor: 0.5 }}', {"x": random(1, 2, 7, 6)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        p, shape = self.param, bottom[0]
        name = self.spec.bottom[0]
        if len(shape) != 4:
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x H x W")
        size: Shape = (p.target_spatial_height, p.target_spatial_width)
        if p.factor:
            size = tuple(int(np.float32(n) * np.float32(p.factor)) for n in shape[2:])
        if min(size) < 1:
            said = f'bottom "{name}", {show(shape)}, would become {size[0]} x {size[1]}'
            self.fail(said, PARAM, "factor", expected="extents of 1 or more")
        self._pads = [[self._pad(n, extent) for extent in shape[2:]] for n in range(shape[0])]
        for n, pads in enumerate(self._pads):
            if any(pad < 0 or 2 * pad >= extent for pad, extent in zip(pads, shape[2:])):
                self.fail(
                    f"sample {n} of {shape[0]} takes {1 - self._shrink(n):g} of its maps, "
                    f"{shape[2]} x {shape[3]}",
                    PARAM,
                    "start_scale",
                    expected="start_scale - n·scale_gap from 1 down to above 0",
                )
        return [(1, shape[1], *size)]

    def _shrink(self, sample: int) -> np.float32:
        """What a sample leaves free of its maps, reckoned as the fork does."""
        p = self.param
        free = np.float32(1) - np.float32(p.start_scale)
        return np.float32(free + np.float32(sample) * np.float32(p.scale_gap))

    def _pad(self, sample: int, extent: int) -> int:
        return int(np.floor(np.float32(extent // 2) * self._shrink(sample)))

    def prepare(self) -> None:
        shape, size = self.bottom_shapes[0], self.top_shapes[0][2:]
        self._ways = [
            [_cubic(m, n, pad, self.dtype) for m, n, pad in zip(size, shape[2:], pads)]
            for pads in self._pads
        ]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        y = top[0][0]
        y.fill(0)
        for x, (rows, columns) in zip(bottom[0], self._ways):
            y += rows @ x @ columns.T
        y /= len(self._ways)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            for dx, (rows, columns) in zip(bottom_diff[0], self._ways):
                np.divide(rows.T @ top_diff[0][0] @ columns, len(self._ways), dx)


def _cubic(m: int, n: int, pad: int, dtype: np.dtype) -> Array:
    """The (m, n) matrix that makes m points of those n, without `pad` of them at both ends."""
    middle = n - 2 * pad
    at = (np.arange(m) + 0.5) * middle / m - 0.5
    first = np.maximum((at + 1e-5).astype(np.intp), 0)
    t = at - first
    weights = (
        (-(t**3) + 2 * t**2 - t) / 2,
        (3 * t**3 - 5 * t**2 + 2) / 2,
        (-3 * t**3 + 4 * t**2 + t) / 2,
        (t**3 - t**2) / 2,
    )
    matrix = np.zeros((m, n), dtype)
    for step, weight in zip(range(-1, 3), weights):
        place = np.clip(first + step, 0, middle - 1) + pad
        matrix[np.arange(m), place] += weight.astype(dtype)
    return matrix
