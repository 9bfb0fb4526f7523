"""ROIAlign: features of regions at the points of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.regions import RegionLayer
from caffelite.layers.roi_pooling import ROIPoolingParameter


@register
class ROIAlign(RegionLayer):
    """y_rcij = x_nc at the point (y1 + i·h/P, x1 + j·w/Q), i = 0 … P, j = 0 … Q, of region
    r = (n, x1, y1, x2, y2), interpolated between the four pixels around it; 0 outside of the map
    and for a region without area. P and Q are `pooled_h` and `pooled_w`: the points are the corners
    of ROIPooling's bins, one more than there are bins.

    The region is first made larger by `pad_ratio` of its size on each side, then multiplied by
    `spatial_scale`; then half a pixel is taken away, so that pixel (i, j) lies at (i, j).

    Gradient: ∂L/∂x takes ∂L/∂y in the same shares; the regions get none.
    Shapes: x (N, C, H, W); regions (R, 5), also (R, 5, 1, 1); y (R, C, P + 1, Q + 1).
    Source: He et al. 2017, Mask R-CNN, in the form of zhaoweicai/cascade-rcnn, which reads
    roi_pooling_param.
    """

    extension = "Cascade R-CNN's fork (zhaoweicai/cascade-rcnn)"
    param: ROIPoolingParameter = param_of(ROIPoolingParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "ROIAlign" roi_pooling_param { pooled_h: 1 pooled_w: 2 }',
            # columns 0, 1.25 and 2.5, rows 0 and 1, of x = 10·row + column
            {
                "x": [[[[0.0, 1.0, 2.0, 3.0], [10.0, 11.0, 12.0, 13.0]]]],
                "rois": [[0.0, 0.5, 0.5, 3.0, 1.5]],
            },
            {"y": [[[[0.0, 1.25, 2.5], [10.0, 11.25, 12.5]]]]},
        ),
        Case(
            'type: "ROIAlign" roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 0.5 '
            "pad_ratio: 0.5 }",
            # 2 wide and padded by 1: columns from 0 to 3, halved and moved: -0.5 and 1; rows alike
            {
                "x": [[[[4.0, 6.0], [8.0, 2.0]]]],
                "rois": [[0.0, 1.0, 1.0, 2.0, 2.0]],
            },
            {"y": [[[[4.0, 6.0], [8.0, 2.0]]]]},
        ),
        Case(
            'type: "ROIAlign" roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.25 }',
            {
                "x": random(2, 2, 5, 4),
                "rois": [[0, 0, 0, 13, 16], [1, 5, 2, 9, 11], [1, 2, 1, 40, 3], [0, 9, 9, 1, 1]],
            },
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self.need_size()

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, rois = bottom
        self.check_bottoms(bottom)
        return [(rois[0], x[1], self.param.pooled_h + 1, self.param.pooled_w + 1)]

    def _line(self, low: float, high: float, parts: int, limit: int) -> tuple[Array, Array, Array]:
        """For each point of one side the pixel before it, the one behind it, and the share of the
        latter; a share of nan: outside of the map."""
        at = low + np.arange(parts + 1, dtype=self.dtype) * self.dtype.type((high - low) / parts)
        outside = (at < -0.5) | (at > limit - 0.5) | (high <= low)
        floor = np.floor(at).astype(int)
        first, second = (np.clip(floor + k, 0, limit - 1) for k in (0, 1))
        share = np.clip(at, 0, limit - 1) - first
        share[outside] = np.nan
        return first, second, share.astype(self.dtype)

    def _grid(self, corners: Array, shape: Shape) -> tuple[Sequence[Array], Sequence[Array], Array]:
        """Rows and columns of the four pixels around each point, and their weights."""
        p, scale = self.param, self.dtype.type(self.param.spatial_scale)
        x1, y1, x2, y2 = corners
        pad_w, pad_h = ((b - a + 1) * self.dtype.type(p.pad_ratio) for a, b in ((x1, x2), (y1, y2)))
        half = self.dtype.type(0.5)
        x1, x2 = (x1 - pad_w) * scale - half, (x2 + pad_w) * scale - half
        y1, y2 = (y1 - pad_h) * scale - half, (y2 + pad_h) * scale - half
        above, below, down = self._line(y1, y2, p.pooled_h, shape[2])
        left, right, across = self._line(x1, x2, p.pooled_w, shape[3])
        rows = np.stack([1 - down, down])
        columns = np.stack([1 - across, across])
        weights = rows[:, None, :, None] * columns[None, :, None, :]
        return (above, below), (left, right), np.nan_to_num(weights, nan=0.0)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, rois = bottom
        self._found = [
            (image, *self._grid(corners, x.shape)) for image, corners in self.regions(rois, len(x))
        ]
        for r, (image, rows, columns, weights) in enumerate(self._found):
            y = top[0][r]
            y.fill(0)
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    y += x[image][:, row[:, None], column] * weights[i, j]

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        dx.fill(0)
        for r, (image, rows, columns, weights) in enumerate(self._found):
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    shares = top_diff[0][r] * weights[i, j]
                    where: Any = (slice(None), row[:, None], column)
                    np.add.at(dx[image], where, shares)
