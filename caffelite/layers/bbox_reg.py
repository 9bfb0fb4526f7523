"""BBoxRegParameter: how the codes of boxes are scaled, in MS-CNN's and Cascade R-CNN's layers."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Layer
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class BBoxRegParameter(LayerMessage, field="bbox_reg_param", number=1154):
    """Mean and deviation of the codes x, y, w, h (the fork's number is 150 or 154)."""

    bbox_mean: list[float] = repeated(1, "float", doc="four, or none: 0")
    bbox_std: list[float] = repeated(2, "float", above=0, doc="four, or none: 1")
    cls_aware: bool = field(
        3, "bool", default=True, doc="FrcnnOutput: codes of each class, not of objects alone?"
    )


ONE_SET = {"bbox_reg_param.cls_aware": "there is one set of codes"}
"""Why layers pass cls_aware over."""


def normal(layer: Layer, param: BBoxRegParameter) -> tuple[Array, Array]:
    """Mean and deviation, four each; refused where there are others."""
    for name in ("bbox_mean", "bbox_std"):
        if len(param.get(name)) not in (0, 4):
            layer.fail(
                f"{len(param.get(name))} {name}", "bbox_reg_param", name, expected="four, or none"
            )
    if not (param.bbox_mean and param.bbox_std):
        return np.zeros(4), np.ones(4)
    return np.array(param.bbox_mean), np.array(param.bbox_std)
