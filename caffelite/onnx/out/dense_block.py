"""DenseBlock: its steps one after the other, and what they give joined."""

from __future__ import annotations

import numpy as np

from caffelite.layers.dense_block import EPS, DenseBlock, Filtered, Normed
from caffelite.onnx.out.place import Place, says


@says("DenseBlock")
def dense_block(layer: DenseBlock, at: Place) -> None:
    x, count = at.bottoms[0], layer.param.numTransition
    for index in range(count):
        new = x
        for step in layer.transition(index):
            new = _step(step, at, new)
        x = at.op("Concat", x, new, out=at.tops[0] if index == count - 1 else None, axis=1)


def _step(step: Normed | Filtered, at: Place, x: str) -> str:
    if isinstance(step, Filtered):
        filters = step.layer.params[step.index].data[:, :, ::-1, ::-1]
        side = filters.shape[-1]
        pads = [side // 2] * 4
        return at.op("Conv", x, np.ascontiguousarray(filters), pads=pads, kernel_shape=[side] * 2)
    line = [step.layer.params[i].data.reshape(-1) for i in (*step.learned, *step.kept)]
    return at.op("Relu", at.op("BatchNormalization", x, *line, epsilon=EPS))
