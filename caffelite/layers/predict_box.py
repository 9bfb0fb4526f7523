"""PredictBox: the boxes that MTCNN's first net sees in a picture."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Shapes, param_of, register, show
from caffelite.layers.cases import Case
from caffelite.layers.finding import FindingLayer
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "predict_box_param"
CELL = 12
"""The side of a cell's window, before it is scaled to the receptive field."""
NEAR = 1e-5


class PredictBoxParameter(LayerMessage, field=PARAM, number=1304):
    """How maps lie in the picture, and which cells count."""

    stride: int = field(1, "uint32", default=2, least=1, doc="pixels a cell")
    receptive_field: int = field(2, "uint32", default=12, least=1, doc="side of a cell's window R")
    nms: bool = field(3, "bool", default=True, idle="the third bottom says it")
    output_vector: bool = field(4, "bool", default=True, idle="the second top says it")
    positive_thresh: float = field(5, "float", default=0.5, doc="only scores above it count")
    bbreg_exp: bool = field(
        6, "bool", default=True, doc="codes x, y, ln width, ln height? Else y1, x1, y2, x2"
    )


@register
class PredictBox(FindingLayer):
    """A cell (row i, column j) whose score, channel 1, is above `positive_thresh` has a box R wide
    and high at x = j·stride·R/12, y = i·stride·R/12; R = `receptive_field`. With codes t, the
    second bottom: x + R·t0, y + R·t1, R·e^t2, R·e^t3; without `bbreg_exp` x + R·t1, y + R·t0, width
    R + R·(t3 − t1), height R + R·(t2 − t0). The first top holds x, y, width, height and score at
    each cell, 0 where there is no box; the second lists the boxes, column by column.

    A third bottom of 2 channels holds the highest scores around each cell: less than they, channel
    1, does not count. One of 3 channels, for pictures stitched from several, holds at each cell
    where its part begins, x and y, which are taken off, and its R; where that is 0 there is no box.

    Gradient: none.
    Shapes: scores (N, 2, H, W), codes (N, 4, H, W), third (N, 2 or 3, H, W). Tops: (N, 5, H, W)
    and, if named, (1, K, 5), K being known after the pass only; for N > 1, or without a box,
    (N, 1, 5), zeros.
    Source: Zhang et al. 2016, Joint Face Detection and Alignment using Multi-task Cascaded
    Convolutional Networks, as happynear has it.
    """

    bottoms = (1, 3)
    tops = (1, 2)
    extension = f"happynear/caffe-windows, there {PARAM} = 209"
    param: PredictBoxParameter = param_of(PredictBoxParameter)
    cases = (
        Case(
            f'type: "PredictBox" {PARAM} {{ receptive_field: 24 stride: 3 }}',
            # the second of two columns: 3·24/12 to the right, and twice as wide
            {
                "scores": [[[[0.9, 0.2]], [[0.1, 0.8]]]],
                "codes": [[[[0, 0.5]], [[0, -0.25]], [[0, math.log(2)]], [[0, 0.0]]]],
            },
            {
                "map": [[[[0, 18.0]], [[0, -6.0]], [[0, 48.0]], [[0, 24.0]], [[0, 0.8]]]],
                "boxes": [[[18.0, -6, 48, 24, 0.8]]],
            },
            phase=Phase.TEST,
        ),
        Case(
            f'type: "PredictBox" {PARAM} {{ bbreg_exp: false positive_thresh: 0.7 }}',
            # the part begins at (1, 0) and has an R of 24; 0.7 is not above the threshold
            {
                "scores": [[[[0.0], [0.0]], [[0.75], [0.7]]]],
                "codes": [[[[0.5], [9]], [[0.25], [9]], [[1.0], [9]], [[0.5], [9]]]],
                "parts": [[[[1.0], [0]], [[0.0], [0]], [[24.0], [12]]]],
            },
            {
                "map": [[[[4.0], [0]], [[12.0], [0]], [[30.0], [0]], [[36.0], [0]], [[0.75], [0]]]],
                "boxes": [[[4.0, 12, 30, 36, 0.75]]],
            },
            phase=Phase.TEST,
        ),
        Case(
            'type: "PredictBox"',
            # the highest score around both is 0.75
            {
                "scores": [[[[0.0, 0]], [[0.75, 0.625]]]],
                "codes": [[[[0.0, 0]]] * 4],
                "highest": [[[[0.0, 0]], [[0.75, 0.75]]]],
            },
            {"map": [[[[0.0, 0]], [[0.0, 0]], [[12.0, 0]], [[12.0, 0]], [[0.75, 0]]]]},
            phase=Phase.TEST,
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        scores = bottom[0]
        for i, (shape, allowed) in enumerate(zip(bottom, ((2,), (4,), (2, 3)))):
            good = len(shape) == 4 and shape[1] in allowed
            if not good or (shape[0], *shape[2:]) != (scores[0], *scores[2:]):
                said = f'bottom "{self.spec.bottom[i]}" is {show(shape)}'
                channels = " or ".join(map(str, allowed))
                self.fail(said, "bottom", index=i, expected=f"N x {channels} x H x W")
        shapes: list[Shape] = [(scores[0], 5, *scores[2:]), (scores[0], 1, 5)]
        return shapes[: len(self.spec.top)]

    def find(self, bottom: Arrays) -> list[Array]:
        p, score = self.param, bottom[0][:, 1]
        height, width = score.shape[1:]
        field = np.full(score.shape, p.receptive_field, self.dtype)
        x = np.broadcast_to(np.arange(width, dtype=self.dtype) * p.stride, score.shape)
        y = np.broadcast_to(np.arange(height, dtype=self.dtype)[:, None] * p.stride, score.shape)
        found = score > p.positive_thresh
        if len(bottom) > 2 and bottom[2].shape[1] == 2:
            found &= score > bottom[2][:, 1] - NEAR
        elif len(bottom) > 2:
            x, y, field = x - bottom[2][:, 0], y - bottom[2][:, 1], bottom[2][:, 2]
            found &= field != 0
        x, y = x / CELL * field, y / CELL * field
        wide = high = field
        if len(bottom) > 1:
            t = bottom[1].transpose(1, 0, 2, 3)
            if p.bbreg_exp:
                x, y, wide, high = x + t[0] * field, y + t[1] * field, *(field * np.exp(t[2:]))
            else:
                x, y = x + t[1] * field, y + t[0] * field
                wide, high = field + (t[3] - t[1]) * field, field + (t[2] - t[0]) * field
        maps: Array = np.where(found, np.stack([x, y, wide, high, score]), 0).transpose(1, 0, 2, 3)
        boxes = np.zeros((len(maps), 1, 5), self.dtype)
        if len(maps) == 1 and found.any():
            boxes = maps[0].transpose(2, 1, 0)[found[0].T][None]
        return [maps, boxes]
