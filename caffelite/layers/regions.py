"""What layers share that pool regions of images: ROIPooling, ROIAlign, PSROIPooling."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Layer, Shapes, show


class RegionLayer(Layer):
    """Bottoms x (N, C, H, W) and regions (R, 5), (image, x1, y1, x2, y2), also (R, 5, 1, 1). The
    gradient goes to x alone."""

    bottoms = (2, 2)
    backward_reads = ()

    def propagates(self, index: int) -> bool:
        return index == 0

    def need_size(self) -> None:
        """Refuse a roi_pooling_param that does not say how many bins there are."""
        for name in ("pooled_h", "pooled_w"):
            example = "roi_pooling_param { pooled_h: 7 pooled_w: 7 }"
            self.need("roi_pooling_param", name, expected=example)

    def check_bottoms(self, bottom: Shapes, channels: int | None = None) -> None:
        """Refuse other shapes; x may have to have so many channels."""
        x, rois = bottom
        right = len(x) == 4 and channels in (None, x[1])
        for i, (shape, expected, fits) in enumerate(
            (
                (x, f"N x {channels or 'C'} x H x W", right),
                (rois, "R x 5", len(rois) > 0 and math.prod(rois[1:]) == 5),
            )
        ):
            if not fits:
                name = self.spec.bottom[i]
                self.fail(f'bottom "{name}" is {show(shape)}', "bottom", index=i, expected=expected)

    def regions(self, rois: Array, images: int) -> Iterator[tuple[int, Array]]:
        """The image and the corners of each region; one of an image that is not there, or whose
        corners are no numbers, is refused."""
        for r, roi in enumerate(rois.reshape(-1, 5)):
            if not 0 <= roi[0] < images:  # written so that nan is refused too
                self.fail(
                    f"region {r} is of image {roi[0]:g}, but there are {images}",
                    "bottom",
                    index=1,
                    expected=f"image numbers from 0 to {images - 1}",
                )
            if not np.isfinite(roi).all():
                corners = ", ".join(f"{x:g}" for x in roi[1:])
                self.fail(
                    f"region {r} has the corners {corners}",
                    "bottom",
                    index=1,
                    expected="finite numbers; did a layer before run away?",
                )
            yield int(roi[0]), roi[1:]
