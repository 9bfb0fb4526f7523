"""Affinity: how surely neighbours both belong to something."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import repeated
from caffelite.schema.net import LayerMessage

PARAM = "affinity_param"


class AffinityParameter(LayerMessage, field=PARAM, number=1305):
    """Which channels."""

    offset: list[int] = repeated(1, "int32", doc="the channel of each bottom; default 0")


@register
class Affinity(Layer):
    """Each bottom has its own top. With p the channel `offset` of the image, channel 0 of the top
    is min(p, the p below) and channel 1 min(p, the p to the right); 0 in the last row and column.

    Gradient: ∂L/∂y goes to the lesser of the two, to the neighbour if they are equal. (The fork
    passes all to p itself, and its negative to the other of two channels.)
    Shapes: (1, C, H, W) to (1, 2, H, W).
    Source: naibaf7/caffe.
    """

    bottoms = (1, ANY)
    tops = (1, ANY)
    backward_reads = ("bottom",)
    deployed = False
    extension = f"naibaf7/caffe, there {PARAM} = 149"
    param: AffinityParameter = param_of(AffinityParameter)
    cases = (
        Case(
            f'type: "Affinity" {PARAM} {{ offset: 1 }}',
            {"x": [[[[9.0] * 3] * 2, [[5.0, 2, 7], [3, 9, 9]]]]},
            {"y": [[[[3.0, 2, 0], [0, 0, 0]], [[2.0, 2, 0], [0, 0, 0]]]]},
        ),
        Case(
            'type: "Affinity"', {"x": random(1, 2, 3, 4), "z": random(1, 1, 2, 2)}, tops=["y", "w"]
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        if len(self.spec.top) != len(bottom):
            said = f"{len(bottom)} bottoms, but {len(self.spec.top)} tops"
            self.fail(said, "top", expected="a top for each bottom")
        offsets = list(self.param.offset)
        self._channels = [*offsets, *[0] * (len(bottom) - len(offsets))]

    def reshape(self, bottom: Shapes) -> list[Shape]:
        for i, (shape, channel) in enumerate(zip(bottom, self._channels)):
            if len(shape) != 4 or shape[0] > 1 or not 0 <= channel < shape[1]:
                said = f'bottom "{self.spec.bottom[i]}" is {show(shape)}, and its offset {channel}'
                expected = "1 x C x H x W, with that channel"
                self.fail(said, "bottom", index=i, expected=expected)
        return [(shape[0], 2, *shape[2:]) for shape in bottom]

    @staticmethod
    def _neighbours(p: Array) -> tuple[Array, Array]:
        """Below and to the right, of all but the last row and column."""
        return p[:, 1:, :-1], p[:, :-1, 1:]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for x, y, channel in zip(bottom, top, self._channels):
            p = x[:, channel]
            y.fill(0)
            for i, other in enumerate(self._neighbours(p)):
                np.minimum(p[:, :-1, :-1], other, out=y[:, i, :-1, :-1])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for x, dy, dx, channel in zip(bottom, top_diff, bottom_diff, self._channels):
            if dx is None:
                continue
            dx.fill(0)
            p, dp = x[:, channel], dx[:, channel]
            for i, (other, d) in enumerate(zip(self._neighbours(p), self._neighbours(dp))):
                g, own = dy[:, i, :-1, :-1], p[:, :-1, :-1] < other
                dp[:, :-1, :-1] += g * own
                d += g * ~own
