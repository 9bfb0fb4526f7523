"""RotateROIPooling: the largest values in the bins of turned regions."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class RotateROIPoolingParameter(LayerMessage, field="rotate_pooling_param", number=123456):
    """The size of the result, and the scale of the regions."""

    pooled_h: int = field(1, "uint32", required=True, least=1, doc="rows of the result")
    pooled_w: int = field(2, "uint32", required=True, least=1, doc="columns of the result")
    spatial_scale: float = field(3, "float", default=1.0, doc="from region to feature coordinates")


@register
class RotateROIPooling(Layer):
    """y_rcij = the largest value of x_nc at the pixels in bin (i, j) of region
    r = (n, x, y, h, w, angle), or 0 if that is larger or there is no pixel. The region, `pooled_h`
    by `pooled_w` bins, is turned by its angle in degrees against the clock around (x, y); all of it
    is multiplied by `spatial_scale`. Pixels outside of the image, of im_info, do not count.

    Gradient: ∂L/∂y to the pixel that was the largest, the first of several; the regions get none.
    Shapes: x (N, C, H, W); regions (R, 6); im_info (…, 2 or more): height, width; y (R, C,
    pooled_h, pooled_w).
    Source: Ma et al. 2018, RRPN (mjq11302010044/RRPN).
    """

    bottoms = (3, 3)
    backward_reads = ("bottom",)
    extension = "RRPN (mjq11302010044), rotate_pooling_param = 123456"
    param: RotateROIPoolingParameter = param_of(RotateROIPoolingParameter)
    cases = (
        Case(
            'type: "RotateROIPooling" rotate_pooling_param { pooled_h: 2 pooled_w: 2 }',
            # turned by 90°: columns of the result go up in the image, rows to the right
            {
                "x": np.arange(16.0).reshape(1, 1, 4, 4),
                "rois": [[0.0, 1.5, 1.5, 4.0, 4.0, 90.0], [0.0, 1.5, 1.5, 4.0, 4.0, 0.0]],
                "info": [[4.0, 4.0, 1.0]],
            },
            {"y": [[[[13.0, 5.0], [15.0, 7.0]]], [[[5.0, 7.0], [13.0, 15.0]]]]},
        ),
        Case(
            'type: "RotateROIPooling" rotate_pooling_param { pooled_h: 1 pooled_w: 2 '
            "spatial_scale: 0.5 }",
            # negative values count as 0; the image is two pixels wide on the map
            {
                "x": [[[[-1.0, 3.0, 9.0]]]],
                "rois": [[0.0, 2.0, 0.0, 2.0, 6.0, 0.0]],
                "info": [[2.0, 4.0, 1.0]],
            },
            {"y": [[[[0.0, 3.0]]]]},
        ),
        Case(
            'type: "RotateROIPooling" rotate_pooling_param { pooled_h: 2 pooled_w: 3 '
            "spatial_scale: 0.25 }",
            {
                "x": random(2, 2, 5, 6, low=0.5, high=2),
                "rois": [[0, 9, 8, 12, 20, 30], [1, 20, 10, 9, 9, -40], [1, 2, 2, 0, 5, 0]],
                "info": [[20.0, 24.0, 1.0]],
            },
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, rois, info = bottom
        for i, (fits, expected) in enumerate(
            (
                (len(x) == 4, "N x C x H x W"),
                (len(rois) > 0 and math.prod(rois[1:]) == 6, "R x 6"),
                (math.prod(info) > 1, "1 x 3"),
            )
        ):
            if not fits:
                name = self.spec.bottom[i]
                said = f'bottom "{name}" is {show(bottom[i])}'
                self.fail(said, "bottom", index=i, expected=expected)
        return [(rois[0], x[1], self.param.pooled_h, self.param.pooled_w)]

    def _pixels(self, roi: Array, height: int, width: int) -> tuple[Array, Array]:
        """The pixels of the map in a region, and the bin of each."""
        p = self.param
        x, y, h, w = (float(v) * p.spatial_scale for v in roi[:4])
        if h <= 0 or w <= 0:
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        turn = math.radians(float(roi[4]))
        reach = math.hypot(h, w) / 2 + 1
        low = max(0, math.floor(y - reach)), max(0, math.floor(x - reach))
        high = min(height, math.ceil(y + reach) + 1), min(width, math.ceil(x + reach) + 1)
        sides = [max(0, b - a) for a, b in zip(low, high)]
        rows, columns = np.indices(sides).reshape(2, -1)
        rows, columns = rows + low[0], columns + low[1]
        right, down = columns - x, rows - y
        across = (math.cos(turn) * right - math.sin(turn) * down) * p.pooled_w / w + p.pooled_w / 2
        along = (math.sin(turn) * right + math.cos(turn) * down) * p.pooled_h / h + p.pooled_h / 2
        i, j = np.floor(along).astype(np.intp), np.floor(across).astype(np.intp)
        inside = (i >= 0) & (i < p.pooled_h) & (j >= 0) & (j < p.pooled_w)
        return np.stack([rows[inside], columns[inside]]), (i * p.pooled_w + j)[inside]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, rois, info = bottom
        images, _, height, width = x.shape
        high, wide = (int(v * self.param.spatial_scale) for v in info.reshape(-1)[:2])
        self._best: list[tuple[int, int, Array, Array, Array]] = []
        top[0].fill(0)
        for r, roi in enumerate(rois.reshape(-1, 6)):
            if not 0 <= roi[0] < images or not np.isfinite(roi).all():
                said = ", ".join(f"{v:g}" for v in roi)
                self.fail(
                    f"region {r} is {said}",
                    "bottom",
                    index=1,
                    expected=f"finite numbers, the first from 0 to {images - 1}",
                )
            places, bins = self._pixels(roi[1:], min(high, height), min(wide, width))
            image = int(roi[0])
            y = top[0][r].reshape(x.shape[1], -1)
            for b in np.unique(bins):
                rows, columns = places[:, bins == b]
                values = x[image][:, rows, columns]
                best = values.argmax(1)
                y[:, b] = np.maximum(values[np.arange(len(best)), best], 0)
                self._best.append((r, int(b), rows[best], columns[best], y[:, b] > 0))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        dx.fill(0)
        owners = bottom[1].reshape(-1, 6)[:, 0].astype(int)
        channels = np.arange(dx.shape[1])
        for r, b, rows, columns, counts in self._best:
            dy = top_diff[0][r].reshape(dx.shape[1], -1)[:, b]
            dx[owners[r]][channels, rows, columns] += np.where(counts, dy, 0)
