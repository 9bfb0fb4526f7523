"""What BoxOutput and BoxGroupOutput share: boxes at the cells of maps, thinned out by image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Shapes
from caffelite.layers.bbox_reg import BBoxRegParameter, normal
from caffelite.layers.finding import FindingLayer


class MapBoxes(FindingLayer):
    """Regions (R, 5, 1, 1), (image, x1, y1, x2, y2), and the same with the score (R, 6, 1, 1)."""

    tops = (1, 2)
    reg: BBoxRegParameter

    def setup(self, bottom: Shapes) -> None:
        self._mean, self._std = (a.astype(self.dtype) for a in normal(self, self.reg))

    def shapes(self, count: int) -> list[Shape]:
        """Of the tops, for so many regions."""
        shapes: list[Shape] = [(count, 5, 1, 1), (count, 6, 1, 1)]
        return shapes[: len(self.spec.top)]

    def best(self, boxes: Array, most: int) -> Array:
        """The boxes with the best scores (column 4), best first; at most so many, 0: all."""
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        return boxes[:most] if most else boxes

    def regions(self, images: Sequence[Array]) -> list[Array]:
        """The tops, from corners and scores of each image's boxes. Where there are none there is
        one region, (0, 1, 1, 10, 10), whose score's row is 0, as in the forks."""
        numbered = [
            np.concatenate([np.full((len(boxes), 1), image, self.dtype), boxes], 1)
            for image, boxes in enumerate(images)
        ]
        scored = np.concatenate(numbered)
        regions = scored[:, :5]
        if not len(scored):
            regions = np.array([[0, 1, 1, 10, 10]], self.dtype)
            scored = np.zeros((1, 6), self.dtype)
        return [rows[:, :, None, None] for rows in (regions, scored)]
