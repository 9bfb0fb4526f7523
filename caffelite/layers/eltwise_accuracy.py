"""EltwiseAccuracy: how often a pixel's class is among the best."""

from __future__ import annotations

from typing import ClassVar

from caffelite.layers.accuracy import Accuracy
from caffelite.layers.base import param_of, register
from caffelite.layers.cases import Case
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class EltwiseAccuracyParameter(LayerMessage, field="eltwise_accuracy_param", number=14300):
    """What counts as right."""

    axis: ClassVar[int] = 1
    min_is_better: ClassVar[bool] = False
    top_k: int = field(1, "uint32", default=1, least=1, doc="right if among the best k classes")
    ignore_label: int = field(2, "int32", doc="pixels with this label do not count")


@register
class EltwiseAccuracy(Accuracy):
    """As Accuracy, over the pixels of all samples, with a message of its own. If no pixel counts
    the accuracy is 0, where the fork divides 0 by 0.

    Gradient: none.
    Shapes: scores (N, C, H, W), labels (N, 1, H, W), accuracy ().
    Source: Noh, Hong & Han 2015, DeconvNet (HyeonwooNoh/caffe), where eltwise_accuracy_param is 43,
    of V1 layers.
    """

    tops = (1, 1)
    extension = "DeconvNet (HyeonwooNoh/caffe, there eltwise_accuracy_param is 43)"
    param: EltwiseAccuracyParameter = param_of(EltwiseAccuracyParameter)  # type: ignore[assignment]
    cases = (
        Case(
            'type: "EltwiseAccuracy" eltwise_accuracy_param { ignore_label: 255 }',
            {
                "x": [[[[1.0, 0.0, 3.0]], [[0.0, 2.0, 4.0]]]],
                "label": [[[[0.0, 255.0, 0.0]]]],
            },
            {"accuracy": 0.5},
        ),
    )
