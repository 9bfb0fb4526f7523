"""DetectionAccuracy: how well MS-CNN's proposal network does, cell by cell."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Arrays, param_of, register
from caffelite.layers.cases import Case
from caffelite.layers.cell_accuracy import CellAccuracy
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "detection_accuracy_param"


class DetectionAccuracyParameter(LayerMessage, field=PARAM, number=1165):
    """The field of the map's cells, and what is right."""

    cls_num: int = field(1, "uint32", least=1, doc="number of classes C, the background is 0")
    coord_num: int = field(2, "uint32", default=4, least=4, most=4, idle="a box has 4 codes")
    field_h: int = field(3, "uint32", least=1, doc="height of a cell's field")
    field_w: int = field(4, "uint32", least=1, doc="width of a cell's field")
    downsample_rate: int = field(5, "uint32", least=1, doc="pixels a cell")
    top_k: int = field(6, "uint32", default=1, least=1, doc="right if among the best k classes")
    field_whr: float = field(7, "float", default=2.0, above=0, doc="sides: at most so many fields")
    field_xyr: float = field(8, "float", default=4.0, above=0, doc="centres move by 1/it at most")
    bg_threshold: float = field(
        9, "float", default=0.5, doc="a background overlaps no object by as much"
    )
    objectness: bool = field(10, "bool", default=False, doc="all classes from 1 on are class 1?")


@register
class DetectionAccuracy(CellAccuracy):
    """Of a map as DetectionLoss reads it: the share of cells whose class is among the `top_k` best;
    the same of the objects (classes from 1 on) alone; and the mean overlap, intersection over
    union, of the objects' boxes with the labelled ones. Backgrounds that overlap an object by
    `bg_threshold` or more do not count, nor do cells with `ignore_label`. What there is nothing of
    is -1.

    Gradient: none.
    Shapes: map (N, C + 4, H, W), labels (N, 6, H, W) as DetectionLoss. Tops: both shares
    (1, 1, 1, 2); if named the overlap (1, 1, 1, 1).
    Source: Cai et al. 2016, MS-CNN.
    """

    bottoms = (2, 2)
    message = PARAM
    rate = "downsample_rate"
    extension = f"MS-CNN fork (zhaoweicai/mscnn), there {PARAM} = 150"
    param: DetectionAccuracyParameter = param_of(DetectionAccuracyParameter)
    cases = (
        Case(
            f'type: "DetectionAccuracy" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 4 '
            "downsample_rate: 8 }",
            # two objects, of which the second is missed, a background, and one that overlaps; the
            # first's box is the labelled one, the second's is half of it
            {
                "map": np.array(
                    [[0, 1, 1, 0], [2, 0, 0, 1], *[[0, 0, 9, 9]] * 4], np.float64
                ).reshape(1, 6, 1, 4),
                "label": np.array(
                    [
                        [1, 1, 0, 0],
                        [4, 12, 0, 0],
                        [4, 4, 0, 0],
                        [4, 8, 0, 0],
                        [8, 8, 0, 0],
                        [0.7, 0.6, 0.2, 0.5],
                    ]
                ).reshape(1, 6, 1, 4),
            },
            {
                "right": np.array([2 / 3, 1 / 2]).reshape(1, 1, 1, 2),
                "overlap": np.array(0.75).reshape(1, 1, 1, 1),
            },
            phase=Phase.TEST,
        ),
        Case(
            f'type: "DetectionAccuracy" {PARAM} {{ cls_num: 2 field_h: 8 field_w: 4 top_k: 2 '
            "downsample_rate: 8 } loss_param { ignore_label: 1 }",
            {
                "map": np.zeros((1, 6, 1, 2)),
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
        scores = bottom[0][:, : self.fields.classes]
        order = np.argsort(-scores, 1, kind="stable")[:, : self.param.top_k]
        result: Array = (order == kinds[:, None]).any(1)
        return result

    def codes(self, bottom: Arrays) -> Array:
        return bottom[0][:, self.fields.classes :]
