"""What DetectNet learns: at each cell of a grid whether an object covers it, and its box."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from caffelite.blob import Array
from caffelite.schema.message import Message, field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "detectnet_groundtruth_param"
BEFORE = 8
"""Planes before those of the classes."""


class GridboxType(IntEnum):
    """Which bound the covered region has."""

    GRIDBOX_MAX = 0
    GRIDBOX_MIN = 1


class CoverageType(IntEnum):
    """The region's form."""

    RECTANGULAR = 0


class ClassMapping(Message):
    """A class of the data, and its plane."""

    src: int = field(1, "uint32", required=True, doc="class in the labels")
    dst: int = field(2, "uint32", required=True, doc="its number among the planes")


class DetectNetGroundTruthParameter(LayerMessage, field=PARAM, number=6801):
    """The grid, and which of its cells an object covers."""

    stride: int = field(1, "uint32", default=4, least=1, doc="pixels a cell")
    scale_cvg: float = field(
        2, "float", default=0.5, least=0, doc="sides of the covered region, in those of the box"
    )
    gridbox_type: GridboxType = field(
        3, GridboxType, default=GridboxType.GRIDBOX_MAX, doc="the bound for these sides"
    )
    max_cvg_len: int = field(4, "uint32", default=50, doc="GRIDBOX_MAX: at most so many pixels")
    min_cvg_len: int = field(
        5, "uint32", default=50, doc="GRIDBOX_MIN: at least so many, and at most the box's"
    )
    coverage_type: CoverageType = field(
        7, CoverageType, default=CoverageType.RECTANGULAR, idle="RECTANGULAR is the only one"
    )
    image_size_x: int = field(8, "uint32", default=1248, least=1, doc="width of the images")
    image_size_y: int = field(9, "uint32", default=384, least=1, doc="height of the images")
    obj_norm: bool = field(
        11, "bool", default=False, doc="may a large object's cells have a weight below 1?"
    )
    crop_bboxes: bool = field(12, "bool", default=True, doc="cut boxes to the image?")
    object_class: list[ClassMapping] = repeated(
        13, ClassMapping, doc="which classes count; none: class 1"
    )


class Coverage:
    """The planes of an image's boxes."""

    def __init__(self, param: DetectNetGroundTruthParameter) -> None:
        self._param = p = param
        self._planes = {m.src: m.dst for m in p.object_class} or {1: 0}
        cells = (round(n / p.stride) for n in (p.image_size_y, p.image_size_x))
        self.shape = (BEFORE + max(self._planes.values()) + 1, *cells)

    def write(self, boxes: Array, planes: Array) -> None:
        """Fill the planes from boxes (R, 5): x, y, width, height, class. A later box takes over the
        cells of earlier ones."""
        p = self._param
        planes.fill(0)
        for *sides, kind in boxes:
            low, size = np.array(sides[:2]), np.array(sides[2:])
            if p.crop_bboxes:
                high = np.minimum(low + size, (p.image_size_x, p.image_size_y))
                low = np.maximum(low, 0)
                size = np.maximum(high - low, 0)
            plane = self._planes.get(int(kind))
            if plane is None or (size <= 0).any() or size.prod() < np.finfo(np.float32).eps:
                continue
            self._cover(low, size, plane, planes)

    def _cover(self, low: Array, size: Array, plane: int, planes: Array) -> None:
        p, stride = self._param, self._param.stride
        sides = size * p.scale_cvg
        if p.gridbox_type == GridboxType.GRIDBOX_MIN:
            sides = np.minimum(size, np.maximum(sides, p.min_cvg_len))
        else:
            sides = np.minimum(sides, p.max_cvg_len)
        start, end = low + size / 2 - sides / 2, low + size / 2 + sides / 2
        grid = np.array(self.shape[:0:-1])
        first = np.clip(np.floor(start / stride), 0, grid).astype(int)
        last = np.clip(np.ceil(end / stride), 0, grid).astype(int)
        weight = stride**2 / sides.prod() if sides.prod() else np.inf
        for x in range(first[0], last[0]):
            for y in range(first[1], last[1]):
                corner = np.array([x, y]) * stride
                shared = np.minimum(end, corner + stride) - np.maximum(start, corner)
                if (shared <= 0).any() or shared.prod() / stride**2 <= np.finfo(np.float32).eps:
                    continue
                cell = planes[:, y, x]
                cell[0] = 1
                cell[1:3], cell[3:5] = low - corner, low + size - corner
                cell[5:7] = 1 / size
                cell[7] = weight if p.obj_norm else max(1, weight)
                cell[BEFORE:] = 0
                cell[BEFORE + plane] = 1
