"""Nms: the peaks of OpenPose's maps."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "nms_param"
AROUND = 3
"""Pixels on each side of a peak that its place is the mean of."""


class NmsParameter(LayerMessage, field=PARAM, number=1170):
    """Which peaks are found."""

    threshold: float = field(1, "float", default=0.5, doc="a peak is above")
    num_peak: int = field(2, "uint32", default=100, idle="max_peaks is how many there are")
    max_peaks: int = field(3, "uint32", default=20, least=1, doc="most peaks P of a map")
    num_parts: int = field(4, "uint32", default=15, least=1, doc="maps looked at, the first ones")


def _peak() -> Array:
    maps = np.zeros((1, 2, 5, 6))
    maps[0, 0, 2, 2:4] = 0.75, 0.25
    maps[0, 0, 2, 0] = 9  # at the border: no peak, and its column is not looked at
    maps[0, 1] = 8  # a second map
    return maps


@register
class Nms(Layer):
    """In each of the first `num_parts` maps the pixels, those at the border apart, that are above
    `threshold` and above all eight around them, row by row, at most `max_peaks`. The first row is
    how many there are, even if these are more; then each has a row (x, y, value), where x and y are
    the means, weighted by their values, of the pixels above 0 up to three rows and columns away,
    without the first row and column. What is left over is 0.

    Gradient: none.
    Shapes: (N, C, H, W) to (N, num_parts, max_peaks + 1, 3). (The fork keeps the rows around a peak
    below W, and not below H.)
    Source: Cao et al. 2017, Realtime Multi-Person 2D Pose Estimation (its fork's GPU code).
    """

    backward_reads = ()
    extension = f"OpenPose's fork (caffe_rtpose), there {PARAM} = 149"
    param: NmsParameter = param_of(NmsParameter)
    cases = (
        Case(
            f'type: "Nms" {PARAM} {{ num_parts: 1 max_peaks: 2 }}',
            {"x": _peak()},
            {"y": [[[[1.0, 0, 0], [2.25, 2, 0.75], [0, 0, 0]]]]},
            phase=Phase.TEST,
        ),
        Case(
            f'type: "Nms" {PARAM} {{ num_parts: 1 max_peaks: 1 threshold: 0.2 }}',
            # two peaks in a map of 3 x 11, too far from each other to count; one is left over
            {"x": [[[[0.0] * 11, [0, 0, 0.25, 0, 0, 0, 0, 0, 0.5, 0, 0], [0.0] * 11]]]},
            {"y": [[[[2.0, 0, 0], [2, 1, 0.25]]]]},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, shape = self.param, bottom[0]
        if len(shape) != 4 or shape[1] < p.num_parts:
            said = f'bottom "{self.spec.bottom[0]}" is {show(shape)}'
            expected = f"N x C x H x W, with num_parts, {p.num_parts}, maps or more"
            self.fail(said, "bottom", expected=expected)
        return [(shape[0], p.num_parts, p.max_peaks + 1, 3)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        p = self.param
        maps = bottom[0][:, : p.num_parts]
        top[0].fill(0)
        height, width = maps.shape[2:]
        if min(height, width) < 3:
            return
        inner = maps[:, :, 1:-1, 1:-1]
        peaks = inner > p.threshold
        for dy in range(3):
            for dx in range(3):
                if (dy, dx) != (1, 1):
                    peaks &= inner > maps[:, :, dy : height - 2 + dy, dx : width - 2 + dx]
        for n, part in np.ndindex(*maps.shape[:2]):
            places = np.argwhere(peaks[n, part]) + 1
            top[0][n, part, 0, 0] = len(places)
            for row, (y, x) in zip(top[0][n, part, 1:], places):
                row[:2] = self._centre(maps[n, part], y, x)
                row[2] = maps[n, part, y, x]

    @staticmethod
    def _centre(values: Array, y: int, x: int) -> tuple[float, float]:
        top, left = max(y - AROUND, 1), max(x - AROUND, 1)
        part = np.maximum(values[top : y + AROUND + 1, left : x + AROUND + 1], 0)
        total = part.sum()
        if not total > 0:  # a threshold below 0
            return float(x), float(y)
        columns, rows = np.arange(part.shape[1]) + left, np.arange(part.shape[0]) + top
        return float((part.sum(0) * columns).sum() / total), float(
            (part.sum(1) * rows).sum() / total
        )
