"""DetectionGroupAccuracy: how well Cascade R-CNN's proposal network does, cell by cell."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Arrays, param_of, register
from caffelite.layers.cases import Case
from caffelite.layers.cell_accuracy import CellAccuracy
from caffelite.schema.common import Phase
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "detection_group_accuracy_param"


class DetectionGroupAccuracyParameter(LayerMessage, field=PARAM, number=1168):
    """The fields of the maps' cells, and what is right."""

    cls_num: int = field(1, "uint32", least=1, doc="number of classes C, the background is 0")
    field_h: list[int] = repeated(2, "uint32", least=1, doc="heights of the fields, one a map")
    field_w: list[int] = repeated(3, "uint32", least=1, doc="widths of the fields")
    stride: int = field(4, "uint32", least=1, doc="pixels a cell")
    field_whr: float = field(5, "float", default=2.0, above=0, doc="sides: at most so many fields")
    field_xyr: float = field(6, "float", default=4.0, above=0, doc="centres move by 1/it at most")
    bg_threshold: float = field(
        7, "float", default=0.5, doc="a background overlaps no object by as much"
    )
    objectness: bool = field(8, "bool", default=False, doc="all classes from 1 on are class 1?")


@register
class DetectionGroupAccuracy(CellAccuracy):
    """Of maps as DetectionGroupLoss reads them: the share of cells whose class has the best score;
    the same of the objects (classes from 1 on) alone; and the mean overlap, intersection over
    union, of the objects' boxes with the labelled ones. Backgrounds that overlap an object by
    `bg_threshold` or more do not count, nor do cells with `ignore_label`. What there is nothing of
    is -1.

    Gradient: none.
    Shapes: scores (N·G, C, H, W), codes (N·G, 4, H, W), labels (N·G, 6, H, W) as
    DetectionGroupLoss. Tops: both shares (1, 1, 1, 2); if named the overlap (1, 1, 1, 1).
    Source: Cai and Vasconcelos 2018, Cascade R-CNN.
    """

    bottoms = (3, 3)
    message = PARAM
    rate = "stride"
    extension = f"Cascade R-CNN (zhaoweicai/cascade-rcnn), there {PARAM} = 157"
    param: DetectionGroupAccuracyParameter = param_of(DetectionGroupAccuracyParameter)
    cases = (
        Case(
            f'type: "DetectionGroupAccuracy" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 4 '
            "field_h: 4 field_w: 8 stride: 8 }",
            # two maps, of fields of 4 x 8 and 8 x 4. In the first an object that is found, and a
            # background; in the second an object that is missed, and a background that overlaps
            {
                "scores": np.array([[[0, 1], [2, 0]], [[1, 0], [0, 1]]], np.float64).reshape(
                    2, 2, 1, 2
                ),
                "codes": np.zeros((2, 4, 1, 2)),
                # the first box is the field at (4, 4), the second half of the field
                "label": np.array(
                    [
                        [[1, 0], [4, 0], [4, 0], [4, 0], [8, 0], [0.7, 0.2]],
                        [[1, 0], [4, 0], [4, 0], [4, 0], [4, 0], [0.6, 0.5]],
                    ]
                ).reshape(2, 6, 1, 2),
            },
            {
                "right": np.array([2 / 3, 1 / 2]).reshape(1, 1, 1, 2),
                "overlap": np.array(0.75).reshape(1, 1, 1, 1),
            },
            phase=Phase.TEST,
        ),
        Case(
            f'type: "DetectionGroupAccuracy" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 4 '
            "stride: 8 } loss_param { ignore_label: 1 }",
            {
                "scores": np.zeros((1, 2, 1, 2)),
                "codes": np.zeros((1, 4, 1, 2)),
                "label": np.array([[1, 0], *[[4, 4]] * 4, [0.5, 0.2]]).reshape(1, 6, 1, 2),
            },
            {
                "right": np.array([1.0, -1.0]).reshape(1, 1, 1, 2),
                "overlap": np.array(-1.0).reshape(1, 1, 1, 1),
            },
            phase=Phase.TEST,
        ),
    )

    def found(self, bottom: Arrays, kinds: Array) -> Array:
        result: Array = bottom[0].argmax(1) == kinds
        return result

    def codes(self, bottom: Arrays) -> Array:
        return bottom[1]
