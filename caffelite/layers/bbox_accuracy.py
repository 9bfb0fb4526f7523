"""BboxAccuracy: how well MS-CNN's second stage moves regions onto their objects."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.bbox_reg import BBoxRegParameter, normal
from caffelite.layers.cases import Case
from caffelite.layers.cell_loss import overlap
from caffelite.schema.common import Phase

ITSELF = 0.975
"""A region that overlaps its object by more is the object itself, which ProposalTarget adds."""


@register
class BboxAccuracy(Layer):
    """The mean overlap, intersection over union, of objects with the boxes that are made of their
    regions as DecodeBBox makes them, by the codes of the object's class; top 2, if named, the mean
    overlap with the regions themselves. Regions of class 0 do not count, nor do those that overlap
    their object by more than 0.975; where none counts, both are -1.

    Gradient: none.
    Shapes: codes (R, 4·C, …) (with `cls_aware: false` in bbox_reg_param (R, 8, …)), regions
    (R, 5, …), (image, x1, y1, x2, y2), objects (R, 6, …), (class, x1, y1, x2, y2, overlap), as
    ProposalTarget gives them; tops (1, 1, 1, 1).
    Source: Cai et al. 2016, MS-CNN.
    """

    bottoms = (3, 3)
    tops = (1, 2)
    backward_reads = ()
    deployed = False
    higher_is_better = True
    extension = "MS-CNN (zhaoweicai)"
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    cases = (
        Case(
            'type: "BboxAccuracy" bbox_reg_param { bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 '
            "bbox_mean: 0 bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }",
            # the first region is moved onto its object by half of its width, the second is left as
            # it is; the third is the object itself, the fourth a background
            {
                "codes": [[0.0] * 4 + [5.0, 0.0, 0.0, 0.0], *[[0.0] * 8] * 3],
                "rois": [
                    [0.0, 0.0, 0.0, 9.0, 9.0],
                    [0.0, 0.0, 0.0, 9.0, 9.0],
                    [0.0, 5.0, 0.0, 14.0, 9.0],
                    [0.0, 0.0, 0.0, 9.0, 9.0],
                ],
                "match": [
                    [1.0, 5.0, 0.0, 14.0, 9.0, 1 / 3],
                    [1.0, 0.0, 0.0, 9.0, 4.0, 0.5],
                    [1.0, 5.0, 0.0, 14.0, 9.0, 1.0],
                    [0.0] * 6,
                ],
            },
            {
                "after": np.full((1, 1, 1, 1), (1 + 0.5) / 2),
                "before": np.full((1, 1, 1, 1), (1 / 3 + 0.5) / 2),
            },
            phase=Phase.TEST,
        ),
        Case(
            'type: "BboxAccuracy"',
            {"codes": [[0.0] * 8], "rois": [[0.0] * 5], "match": [[0.0] * 6]},
            {"after": np.full((1, 1, 1, 1), -1.0)},
            phase=Phase.TEST,
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        self._mean, self._std = (a.astype(self.dtype) for a in normal(self, self.reg))

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        for i, (shape, width) in enumerate(zip(bottom, (None, 5, 6))):
            good = len(shape) > 1 and shape[0] == bottom[0][0]
            if not good or (shape[1] != width if width else shape[1] % 4):
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=f"{bottom[0][0] if bottom[0] else 'R'} rows of {width or 'fours'}",
                )
        single: Shape = (1, 1, 1, 1)
        return [single] * len(self.spec.top)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        codes, rois, match = (b.reshape(len(b), -1) for b in bottom)
        rows = np.flatnonzero((match[:, 0] > 0) & (match[:, 5] <= ITSELF))
        kinds = match[rows, 0].astype(int)
        sets = codes.reshape(len(codes), -1, 4)
        if not self.reg.cls_aware:
            kinds = np.minimum(kinds, 1)
        if rows.size and kinds.max() >= sets.shape[1]:
            self.fail(
                f"an object is of class {kinds.max()}, but there are codes of {sets.shape[1]}",
                "bottom",
                index=2,
                expected=f"classes from 1 to {sets.shape[1] - 1}",
            )
        t = sets[rows, kinds] * self._std + self._mean
        objects, regions = self._centred(match[rows, 1:5]), self._centred(rois[rows, 1:])
        sides = regions[:, 2:]
        boxes = np.concatenate([regions[:, :2] + t[:, :2] * sides, sides * np.exp(t[:, 2:])], 1)
        for y, found in zip(top, (boxes, regions)):
            y[...] = overlap(found, objects).mean() if rows.size else -1

    @staticmethod
    def _centred(corners: Array) -> Array:
        """Centres and sides of boxes that are x2 - x1 + 1 wide."""
        sides = corners[:, 2:] - corners[:, :2] + 1
        return np.concatenate([corners[:, :2] + sides / 2, sides], 1)
