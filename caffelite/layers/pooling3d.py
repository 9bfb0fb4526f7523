"""Pooling3D: boxes of frames, rows and columns made one value, as C3D has it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.kernels import Window
from caffelite.layers.base import (
    Arrays,
    Context,
    Diffs,
    Layer,
    Shapes,
    param_of,
    register,
    show,
)
from caffelite.layers.cases import Case, random
from caffelite.layers.pooling import (
    ONE,
    PARAM,
    PlanePool,
    Pooling,
    PoolMethod,
)
from caffelite.layers.usual_message import with_usual_message
from caffelite.layers.windows import check_fit
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter

OWN = "pooling3d_param"


class Pooling3DParameter(LayerMessage, field=OWN, number=6662):
    """C3D 1.1: what stands in pooling_param else."""

    pool: PoolMethod = field(1, PoolMethod, default=PoolMethod.MAX, doc="MAX or AVE")
    kernel_size: int = field(2, "uint32", least=1, doc="rows and columns of a box")
    stride: int = field(3, "uint32", default=1, least=1, doc="step along rows and columns")
    pad: int = field(4, "uint32", default=0, doc="pad of rows and columns")
    kernel_depth: int = field(5, "uint32", least=1, doc="frames of a box")
    temporal_stride: int = field(6, "uint32", default=1, least=1, doc="step along the frames")


@register
class Pooling3D(Pooling):
    """The maximum (MAX) or mean (AVE) of each box of `kernel_depth` frames, `kernel_size` rows and
    columns: the planes are pooled as by Pooling, then the frames, without a pad, in steps of
    `temporal_stride`, rounded up. A layer of type "Pooling" with one of these fields is this one,
    and V1's POOLING3D. A pooling3d_param is read as C3D 1.1 has it.

    Gradient: as Pooling's.
    Shapes: x (N, C, L, H, W); y (N, C, L', H', W') with L' = ⌈(L − kernel_depth)/stride⌉ + 1.
    Source: Tran et al. 2015, C3D (facebook/C3D).
    """

    tops = (1, 1)
    planes_alone = True
    extension = "C3D (facebook/C3D)"
    own: Pooling3DParameter = param_of(Pooling3DParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "Pooling3D" pooling_param { kernel_size: 2 stride: 2 kernel_depth: 2 '
            "temporal_stride: 2 }",
            {"x": [[[[[1.0, 2.0]], [[4.0, 3.0]], [[0.0, -6.0]]]]]},
            {"y": [[[[[4.0]], [[0.0]]]]]},
        ),
        Case(
            'type: "Pooling3D" pooling_param { pool: AVE kernel_size: 2 kernel_depth: 2 }',
            {"x": [[[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 12.0]]]]]},
            {"y": [[[[[5.0]]]]]},
        ),
        Case(
            'type: "Pooling3D" pooling_param { kernel_size: 2 stride: 2 kernel_depth: 2 }',
            {"x": random(2, 2, 3, 4, 5)},
        ),
        Case(
            'type: "Pooling3D" pooling_param { pool: AVE kernel_size: 3 pad: 1 stride: 2 '
            "kernel_depth: 2 temporal_stride: 2 }",
            {"x": random(2, 2, 3, 4, 5)},
        ),
        Case(
            f'type: "Pooling3D" {OWN} {{ pool: AVE kernel_size: 2 kernel_depth: 2 stride: 2 }}',
            {"x": [[[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 12.0]]]]]},
            {"y": [[[[[5.0]]]]]},
        ),
    )

    def __init__(self, spec: LayerParameter, context: Context | None = None) -> None:
        super().__init__(with_usual_message(spec, OWN, "pooling_param"), context)

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return cls

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.pool not in (PoolMethod.MAX, PoolMethod.AVE) or p.global_pooling:
            self.fail("frames are pooled by MAX and AVE alone", PARAM, "pool")
        self.need(PARAM, "kernel_depth", expected="the frames of a box, kernel_depth: 2")
        super().setup(bottom)
        self._frames = Window((p.kernel_depth, 1), (p.temporal_stride, 1), (0, 0), ONE)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        shape = bottom[0]
        if len(shape) != 5:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}',
                "bottom",
                expected="5 axes: images, channels, frames, height, width",
            )
        n, c, frames, height, width = shape
        (planes,) = super().reshape([(n, c * frames, height, width)])
        self._plane = planes[2:]
        around = (frames, self._plane[0] * self._plane[1])
        moved = self.kernels.pool_output_shape(around, self._frames, self.ceil)
        check_fit(self, PARAM, self._frames, around, moved)
        return [(n, c, moved[0], *self._plane)]

    def prepare(self) -> None:
        n, c, frames, *spatial = self.bottom_shapes[0]
        after = self.top_shapes[0][2]
        size = self._plane[0] * self._plane[1]
        self._between: Shape = (n, c * frames, *self._plane)
        method = self.param.pool
        self._pool = PlanePool(self, method, self.window, tuple(spatial), self._between)
        ends = (frames, size)
        self._over = PlanePool(self, method, self._frames, ends, (n, c, after, size))
        self._middle = np.empty(self._between, self.dtype)
        self._slope = np.empty(self._between, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        n, c, frames, *spatial = bottom[0].shape
        self._pool.forward(bottom[0].reshape(n, c * frames, *spatial), self._middle)
        self._over.forward(
            self._middle.reshape(n, c, frames, -1), top[0].reshape(*top[0].shape[:3], -1)
        )

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        n, c, frames, *spatial = bottom[0].shape
        dy = top_diff[0].reshape(*top_diff[0].shape[:3], -1)
        middle, slope = (a.reshape(n, c, frames, -1) for a in (self._middle, self._slope))
        self._over.backward(middle, dy, slope)
        x, dx = (a.reshape(n, c * frames, *spatial) for a in (bottom[0], dx))
        self._pool.backward(x, self._slope, dx)
