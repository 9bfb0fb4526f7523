"""PSROIPooling: mean pooling of regions, each bin from channels of its own."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.regions import RegionLayer
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class PSROIPoolingParameter(LayerMessage, field="psroi_pooling_param", number=10001):
    """The bins, and the scale of the regions."""

    spatial_scale: float = field(1, "float", required=True, doc="from region to features")
    output_dim: int = field(2, "int32", required=True, least=1, doc="channels D of the result")
    group_size: int = field(3, "int32", required=True, least=1, doc="bins k along each side")


@register
class PSROIPooling(RegionLayer):
    """y_rdij = the mean of channel (d·k + i)·k + j of x in bin (i, j) of region r =
    (n, x1, y1, x2, y2), with k = `group_size`; 0 for an empty bin.

    The corners are rounded, halves away from 0, and the lower right ones moved by 1; then all are
    multiplied by `spatial_scale`. The region is at least 0.1 wide and high. Bin i of k has the rows
    from ⌊y1 + i·h/k⌋ to ⌈y1 + (i + 1)·h/k⌉ − 1, cut to the image.

    Gradient: ∂L/∂y_rdij in equal parts to the values of the bin; the regions get none.
    Shapes: x (N, D·k², H, W); regions (R, 5), also (R, 5, 1, 1); y (R, D, k, k).
    Source: Dai et al. 2016, R-FCN. psroi_pooling_param is 10001 there, 148 in Cascade R-CNN's fork
    and 153 in Intel's.
    """

    extension = "R-FCN fork (daijifeng001/caffe-rfcn), psroi_pooling_param = 10001"
    param: PSROIPoolingParameter = param_of(PSROIPoolingParameter)
    cases = (
        Case(
            'type: "PSROIPooling" psroi_pooling_param { spatial_scale: 1 output_dim: 1 '
            "group_size: 2 }",
            # bins of 1 x 2 pixels; bin (i, j) reads channel 2·i + j
            {
                "x": np.arange(32.0).reshape(1, 4, 2, 4),
                "rois": [[0.0, 0.0, 0.0, 3.0, 1.0]],
            },
            {"y": [[[[0.5, 8 + 2.5], [16 + 4.5, 24 + 6.5]]]]},
        ),
        Case(
            'type: "PSROIPooling" psroi_pooling_param { spatial_scale: 0.5 output_dim: 1 '
            "group_size: 1 }",
            # columns from 1 to 2.5, so 1 and 2; the second region is outside
            {
                "x": [[[[1.0, 2.0, 6.0, 4.0]]]],
                "rois": [[0.0, 2.0, 0.0, 4.0, 0.0], [0.0, 20.0, 0.0, 24.0, 0.0]],
            },
            {"y": [[[[4.0]]], [[[0.0]]]]},
        ),
        Case(
            'type: "PSROIPooling" psroi_pooling_param { spatial_scale: 0.25 output_dim: 2 '
            "group_size: 2 }",
            {
                "x": random(2, 8, 5, 4),
                "rois": [[0, 0, 0, 12, 16], [1, 3, 2, 3, 2], [1, 2, 1, 40, 3], [0, 9, 9, 1, 1]],
            },
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, rois = self.param, bottom[1]
        wanted = p.output_dim * p.group_size**2
        self.check_bottoms(bottom, wanted)
        return [(rois[0], p.output_dim, p.group_size, p.group_size)]

    def _bins(self, low: float, high: float, limit: int) -> list[tuple[int, int]]:
        """Start and end of each bin between two edges, cut to the image."""
        number, k = self.dtype.type, self.param.group_size
        size = max(high - low, number(0.1)) / number(k)
        edges = [(math.floor(i * size + low), math.ceil((i + 1) * size + low)) for i in range(k)]
        return [(min(max(a, 0), limit), min(max(b, 0), limit)) for a, b in edges]

    def _note(self, rois: np.ndarray, shape: Shape) -> None:
        """Each region's image and bins."""
        images, _, height, width = shape
        scale = self.dtype.type(self.param.spatial_scale)
        self._found = []
        for image, corners in self.regions(rois, images):
            corners = np.sign(corners) * np.floor(np.abs(corners) + self.dtype.type(0.5))
            x1, y1, x2, y2 = (corners + np.array([0, 0, 1, 1], self.dtype)) * scale
            rows, columns = self._bins(y1, y2, height), self._bins(x1, x2, width)
            self._found.append((image, rows, columns))

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (x, rois), y, k = bottom, top[0], self.param.group_size
        self._note(rois, x.shape)
        for r, (image, rows, columns) in enumerate(self._found):
            for i, (above, below) in enumerate(rows):
                for j, (left, right) in enumerate(columns):
                    area = (below - above) * (right - left)
                    if below <= above or right <= left:
                        y[r, :, i, j] = 0
                        continue
                    block = x[image, i * k + j :: k * k, above:below, left:right]
                    y[r, :, i, j] = block.sum((1, 2)) / area

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx, dy, k = bottom_diff[0], top_diff[0], self.param.group_size
        if dx is None:
            return
        dx.fill(0)
        for r, (image, rows, columns) in enumerate(self._found):
            for i, (above, below) in enumerate(rows):
                for j, (left, right) in enumerate(columns):
                    if below > above and right > left:
                        part = dy[r, :, i, j] / ((below - above) * (right - left))
                        block = dx[image, i * k + j :: k * k, above:below, left:right]
                        block += part[:, None, None]
