"""ROIWarping: features of regions at points that begin at their first corner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.roi_align import ROIAlign
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ROIWarpingParameter(LayerMessage, field="roi_warping_param", number=11870):
    """The size of the result, and the scale of the regions."""

    pooled_h: int = field(1, "uint32", required=True, least=1, doc="rows of the result")
    pooled_w: int = field(2, "uint32", required=True, least=1, doc="columns of the result")
    spatial_scale: float = field(3, "float", default=1.0, doc="from region to feature coordinates")


@register
class ROIWarping(ROIAlign):
    """y_rcij = x_nc at the point (y1 + i·h/P, x1 + j·w/Q), i = 0 … P − 1, j = 0 … Q − 1, of region
    r = (n, x1, y1, x2, y2), interpolated between the four pixels around it; 0 more than half a
    pixel outside of the map. P and Q are `pooled_h` and `pooled_w`. The corners are multiplied by
    `spatial_scale` and rounded, halves away from 0; h = y2 − y1 and w = x2 − x1 are at least 0.

    Gradient: ∂L/∂x takes ∂L/∂y in the same shares; that of the regions is 0, since they are
    rounded. (The fork gives them one as if they were not.)
    Shapes: x (N, C, H, W); regions (R, 5), also (R, 5, 1, 1); y (R, C, P, Q).
    Source: Dai et al. 2016, Multi-task Network Cascades (daijifeng001/caffe-mnc).
    """

    extension = "MNC (daijifeng001/caffe-mnc), roi_warping_param = 11870"
    param: ROIWarpingParameter = param_of(ROIWarpingParameter)  # type: ignore[assignment]
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "ROIWarping" roi_warping_param { pooled_h: 2 pooled_w: 2 }',
            # columns 1 and 2, rows 0 and 0.5, of x = 10·row + column
            {
                "x": [[[[0.0, 1.0, 2.0, 3.0], [10.0, 11.0, 12.0, 13.0]]]],
                "rois": [[0.0, 0.5, 0.4, 3.4, 1.4]],
            },
            {"y": [[[[1.0, 2.0], [6.0, 7.0]]]]},
        ),
        Case(
            'type: "ROIWarping" roi_warping_param { pooled_h: 1 pooled_w: 2 spatial_scale: 0.5 }',
            # one point twice; a region that ends outside
            {
                "x": [[[[4.0, 6.0, 8.0]]]],
                "rois": [[0.0, 4.0, 0.0, 2.0, 0.0], [0.0, 2.0, 0.0, 10.0, 0.0]],
            },
            {"y": [[[[8.0, 8.0]]], [[[6.0, 0.0]]]]},
        ),
        Case(
            'type: "ROIWarping" roi_warping_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.25 }',
            {
                "x": random(2, 2, 5, 4),
                "rois": [[0, 0, 0, 13, 16], [1, 5, 2, 9, 11], [1, 2, 1, 40, 3], [0, 9, 9, 1, 1]],
            },
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        """The message itself says that both sizes are needed."""

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, rois = bottom
        self.check_bottoms(bottom)
        return [(rois[0], x[1], self.param.pooled_h, self.param.pooled_w)]

    def _points(self, low: float, high: float, parts: int, limit: int) -> tuple[Array, ...]:
        """For each point of one side the pixel before it, the one behind it, and both shares."""
        size = max(high - low, self.dtype.type(0))
        at = low + np.arange(parts, dtype=self.dtype) * self.dtype.type(size / parts)
        first, second = (np.clip(np.floor(at).astype(int) + k, 0, limit - 1) for k in (0, 1))
        share = np.clip(at, 0, limit - 1) - first
        shares = np.stack([1 - share, share]).astype(self.dtype)
        shares[:, (at < -0.5) | (at > limit - 0.5)] = 0
        return first, second, shares

    def _grid(self, corners: Array, shape: Shape) -> tuple[Sequence[Array], Sequence[Array], Array]:
        p, half = self.param, self.dtype.type(0.5)
        scaled = corners * self.dtype.type(p.spatial_scale)
        x1, y1, x2, y2 = np.sign(scaled) * np.floor(np.abs(scaled) + half)
        above, below, rows = self._points(y1, y2, p.pooled_h, shape[2])
        left, right, columns = self._points(x1, x2, p.pooled_w, shape[3])
        weights = rows[:, None, :, None] * columns[None, :, None, :]
        return (above, below), (left, right), weights

    def propagates(self, index: int) -> bool:
        # only where the text asks for it
        return index == 0 or list(self.spec.propagate_down[1:2]) == [True]

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        super().backward(top, top_diff, bottom, bottom_diff)
        if bottom_diff[1] is not None:
            bottom_diff[1].fill(0)
