"""ROIPooling: max pooling of regions to one size."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.regions import RegionLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ROIPoolingParameter(LayerMessage, field="roi_pooling_param", number=8266711):
    """The size of the result, and the scale of the regions."""

    pooled_h: int = field(1, "uint32", least=1, doc="rows of the result")
    pooled_w: int = field(2, "uint32", least=1, doc="columns of the result")
    spatial_scale: float = field(3, "float", default=1.0, doc="from region to feature coordinates")
    pad_ratio: float = field(
        4, "float", default=0.0, least=0, doc="MS-CNN: regions are larger by this part on each side"
    )


@register
class ROIPooling(RegionLayer):
    """y_rcij = the maximum of x_nc over bin (i, j) of region r = (n, x1, y1, x2, y2).

    With `pad_ratio` p the region is first made larger, by p·(x2 − x1 + 1) and p·(y2 − y1 + 1)
    on each side. The corners are then
    multiplied by `spatial_scale` and rounded, halves away from 0; both belong to
    the region, which is at least 1 x 1. Bin i of P has the rows from ⌊i·h/P⌋ to ⌈(i + 1)·h/P⌉ − 1
    of the region's h, cut to the image; bins may overlap, an empty one gives 0.

    Gradient: ∂L/∂y_rcij goes to the value that was the maximum (the first one if several were);
    the regions get none.
    Shapes: x (N, C, H, W); regions (R, 5), also (R, 5, 1, 1); y (R, C, pooled_h, pooled_w).
    Source: Girshick 2015, Fast R-CNN.
    """

    extension = "Fast R-CNN fork (rbgirshick/caffe-fast-rcnn), roi_pooling_param = 8266711"
    param: ROIPoolingParameter = param_of(ROIPoolingParameter)
    cases = (
        Case(
            'type: "ROIPooling" roi_pooling_param { pooled_h: 2 pooled_w: 2 }',
            # 3 x 3 of the image in bins of 2 x 2 that overlap
            {
                "x": [[[[0.0, 1.0, 9.0, 3.0], [4.0, 5.0, 6.0, 7.0], [2.0, 8.0, 1.0, 0.0]]]],
                "rois": [[0.0, 0.0, 0.0, 2.0, 2.0]],
            },
            {"y": [[[[5.0, 9.0], [8.0, 8.0]]]]},
        ),
        Case(
            'type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 2 spatial_scale: 0.5 }',
            # corners 5·0.5 = 2.5 become 3; the second region lies outside but for its left bin
            {
                "x": [[[[1.0, 2.0, 3.0, 4.0]]], [[[5.0, 6.0, 7.0, 8.0]]]],
                "rois": [[1.0, 2.0, 0.0, 5.0, 0.0], [0.0, 6.0, 0.0, 12.0, 0.0]],
            },
            {"y": [[[[7.0, 8.0]]], [[[4.0, 0.0]]]]},
        ),
        Case(
            'type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 1 pad_ratio: 0.5 }',
            # columns 2 to 3, padded by 1 pixel on each side
            {"x": [[[[9.0, 1.0, 2.0, 3.0, 4.0]]]], "rois": [[0.0, 2.0, 0.0, 3.0, 0.0]]},
            {"y": [[[[4.0]]]]},
        ),
        Case(
            'type: "ROIPooling" roi_pooling_param { pooled_h: 2 pooled_w: 3 }',
            {
                "x": random(2, 2, 5, 4),
                "rois": [[0, 0, 0, 3, 4], [1, 1, 2, 1, 2], [1, 2, 1, 9, 3], [0, 3, 3, 1, 1]],
            },
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self.need_size()

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, rois = bottom
        self.check_bottoms(bottom)
        return [(rois[0], x[1], self.param.pooled_h, self.param.pooled_w)]

    def prepare(self) -> None:
        # where in x each maximum was; -1: an empty bin
        self._from = np.empty(self.top_shapes[0], np.intp)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, rois = bottom
        y, source = top[0], self._from
        images, channels, height, width = x.shape
        first = np.arange(channels) * (height * width)
        for r, (image, corners) in enumerate(self.regions(rois, images)):
            if self.param.pad_ratio:
                pad = (corners[2:] - corners[:2] + 1) * self.dtype.type(self.param.pad_ratio)
                corners = np.concatenate([corners[:2] - pad, corners[2:] + pad])
            corners = corners * self.dtype.type(self.param.spatial_scale)
            x1, y1, x2, y2 = (np.sign(corners) * np.floor(np.abs(corners) + 0.5)).astype(int)
            rows = self._bins(y1, y2, self.param.pooled_h, height)
            columns = self._bins(x1, x2, self.param.pooled_w, width)
            for i, (top_row, end_row) in enumerate(rows):
                for j, (left, right) in enumerate(columns):
                    if end_row <= top_row or right <= left:
                        y[r, :, i, j], source[r, :, i, j] = 0, -1
                        continue
                    block = x[image, :, top_row:end_row, left:right]
                    block = block.reshape(channels, (end_row - top_row) * (right - left))
                    best = np.argmax(block, 1)
                    y[r, :, i, j] = block[np.arange(channels), best]
                    row, column = np.divmod(best, right - left)
                    source[r, :, i, j] = (
                        image * channels * height * width
                        + first
                        + (row + top_row) * width
                        + column
                        + left
                    )

    def _bins(self, low: int, high: int, count: int, limit: int) -> Array:
        """The start and end of each bin of a region, cut to the image."""
        number = np.arange(count + 1, dtype=self.dtype)
        # reckoned in the net's type as the original does: a rounding here moves a bin's edge
        size = self.dtype.type(max(high - low + 1, 1)) / self.dtype.type(count)
        starts = np.floor(number[:-1] * size) + low
        ends = np.ceil(number[1:] * size) + low
        edges: Array = np.clip(np.stack([starts, ends], 1), 0, limit)
        return edges.astype(int)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        dx.fill(0)
        filled = self._from >= 0
        np.add.at(dx.reshape(-1), self._from[filled], top_diff[0][filled])
