"""What DetectionAccuracy and DetectionGroupAccuracy share: shares of cells, and boxes' overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of
from caffelite.layers.bbox_reg import BBoxRegParameter
from caffelite.layers.cell_loss import overlap
from caffelite.layers.field_codes import ACCURACY_IDLE, FieldCodes
from caffelite.schema.common import LossParameter


class CellAccuracy(Layer):
    """The share of cells whose class is found, the same of objects alone, and the overlap of the
    objects' boxes with the labelled ones; the labels are the last bottom."""

    tops = (1, 2)
    backward_reads = ()
    deployed = False
    higher_is_better = True
    message: ClassVar[str]
    """The field of the layer's message."""
    rate: ClassVar[str]
    """The field that says how many pixels a cell has."""
    reg: BBoxRegParameter = param_of(BBoxRegParameter)
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = ACCURACY_IDLE

    def propagates(self, index: int) -> bool:
        return False

    def setup(self, bottom: Shapes) -> None:
        self.fields = FieldCodes(self, self.message, self.reg, self.rate)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.fields.fit(bottom)
        shapes: list[Shape] = [(1, 1, 1, 2), (1, 1, 1, 1)]
        return shapes[: len(self.spec.top)]

    def found(self, bottom: Arrays, kinds: Array) -> Array:
        """Where the class is found, (N, H, W)."""
        raise NotImplementedError

    def codes(self, bottom: Arrays) -> Array:
        """The codes of boxes, (N, 4, H, W)."""
        raise NotImplementedError

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        labels = bottom[-1]
        threshold = self.spec.get(self.message).bg_threshold
        kinds, objects, counts = self.fields.counted(labels, threshold)
        right = self.found(bottom, kinds)
        top[0].reshape(-1)[:] = _mean(right[counts]), _mean(right[objects])
        if len(top) > 1:
            n, row, column = where = np.nonzero(objects)
            boxes = self.fields.boxes(self.codes(bottom)[n, :, row, column], where)
            top[1][...] = _mean(overlap(boxes, labels[n, 1:5, row, column]))

    def demanded(self, index: int, shape: Shape, rng: np.random.Generator) -> Array | None:
        """For nets without data: objects at some cells."""
        last = index == len(self.spec.bottom) - 1
        return self.fields.demanded(shape, rng) if last else None


def _mean(values: Array) -> float:
    """The mean; -1 where there is nothing."""
    return float(values.mean()) if values.size else -1.0
