"""Maximum: where each map is largest."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, register, show
from caffelite.layers.cases import Case
from caffelite.schema.common import Phase


@register
class Maximum(Layer):
    """y = (column, row, value) of the largest value in each map, the first one in order of rows.

    Gradient: none.
    Shapes: (N, C, H, W) to (N, C, 1, 3).
    Source: Cao et al. 2017, Realtime Multi-Person 2D Pose Estimation (its fork, caffe_rtpose).
    """

    backward_reads = ()
    extension = "OpenPose's fork (caffe_rtpose)"
    cases = (
        Case(
            'type: "Maximum"',
            {
                "x": [
                    [
                        [[0.0, 1.0, 4.0], [2.0, 9.0, -1.0]],
                        [[-5.0, -2.0, -3.0], [-2.0, -4.0, -8.0]],
                    ]
                ]
            },
            {"y": [[[[1.0, 1.0, 9.0]], [[1.0, 0.0, -2.0]]]]},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        if len(shape) != 4 or not math.prod(shape[2:]):
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x H x W")
        return [(*shape[:2], 1, 3)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        *lead, height, width = bottom[0].shape
        flat, y = bottom[0].reshape(*lead, height * width), top[0]
        place = flat.argmax(-1)
        y[..., 0, 0], y[..., 0, 1] = place % width, place // width
        y[..., 0, 2] = np.take_along_axis(flat, place[..., None], -1)[..., 0]
