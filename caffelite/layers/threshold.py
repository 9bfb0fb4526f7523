"""Threshold: a step."""

from __future__ import annotations

import numpy as np

from caffelite.layers.base import Arrays, Layer, param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ThresholdParameter(LayerMessage, field="threshold_param", number=128):
    """Where the step is."""

    threshold: float = field(1, "float", default=0.0, doc="values above it become 1")


@register
class Threshold(Layer):
    """y = 1 where x > `threshold`, 0 elsewhere.

    Gradient: none.
    Shapes: bottom and top alike, any.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/threshold.html
    """

    backward_reads = ()
    param: ThresholdParameter = param_of(ThresholdParameter)
    cases = (
        Case(
            'type: "Threshold" threshold_param { threshold: 0.5 }',
            {"x": [[-1.0, 0.5, 0.75, 2.0]]},
            {"y": [[0.0, 0.0, 1.0, 1.0]]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return False

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.greater(bottom[0], self.param.threshold, top[0])
