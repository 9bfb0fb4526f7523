"""SegmentationEvaluate: how far maps of classes agree."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "segmentation_evaluate_param"


class SegmentationEvaluateParameter(LayerMessage, field=PARAM, number=605):
    """From which score on a place is of a class."""

    num_classes: int = field(1, "uint32", default=1, idle="the map says it")
    threshold: float = field(2, "float", default=0.5, doc="only higher scores count")


@register
class SegmentationEvaluate(Layer):
    """For each class the places where score and target are above `threshold`, over those where one
    of them is; 0 where there are none of the first.

    Gradient: none.
    Shapes: scores (1, C, H, W), targets alike, top (1, 1, 1, C). (The fork resizes scores as bytes
    to targets of another size; here an Interp does it.)
    Source: eric612/MobileNet-YOLO.
    """

    bottoms = (2, 2)
    backward_reads = ()
    deployed = False
    higher_is_better = True
    one_image = True
    extension = f"YOLO fork (eric612/MobileNet-YOLO), {PARAM} = 605"
    param: SegmentationEvaluateParameter = param_of(SegmentationEvaluateParameter)
    cases = (
        Case(
            f'type: "SegmentationEvaluate" {PARAM} {{ num_classes: 2 threshold: 0.3 }}',
            {
                "x": [[[[0.9, 0.4], [0.1, 0.5]], [[0.9, 0.0], [0.0, 0.0]]]],
                "t": [[[[1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]]],
            },
            {"y": [[[[0.5, 0.0]]]]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        scores, targets = bottom
        if len(scores) != 4 or scores[0] != 1:
            said = f'bottom "{self.spec.bottom[0]}" is {show(scores)}'
            self.fail(said, "bottom", expected="1 x C x H x W")
        if targets != scores:
            said = f'bottom "{self.spec.bottom[1]}" is {show(targets)}, but '
            said += f'"{self.spec.bottom[0]}" is {show(scores)}'
            self.fail(said, "bottom", index=1, expected=f"{show(scores)}; Interp resizes")
        return [(1, 1, 1, bottom[0][1])]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        (scores,), (targets,) = bottom
        found = scores > self.param.threshold
        true = targets > self.param.threshold
        both, either = (found & true).sum((1, 2)), (found | true).sum((1, 2))
        top[0][0, 0, 0] = both / np.maximum(either, 1)
