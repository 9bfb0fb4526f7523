"""HingeLoss: the one-against-all margin loss."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import LabelReader
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class HingeNorm(IntEnum):
    """How the margins are added up."""

    L1 = 1
    L2 = 2


class HingeLossParameter(LayerMessage, field="hinge_loss_param", number=114):
    """The norm of the margins."""

    norm: HingeNorm = field(1, HingeNorm, default=HingeNorm.L1, doc="L1: sum; L2: sum of squares")


@register
class HingeLoss(LossLayer):
    """L = (1/N) Σ_ic m_ic for L1, (1/N) Σ_ic m_ic² for L2, with the margins
    m_ic = max(0, 1 − s_ic·x_ic), where s_ic is 1 if c is sample i's label and −1 if not.

    Gradient: ∂L/∂x_ic = −s_ic·[m_ic > 0]/N for L1, −2·s_ic·m_ic/N for L2.
    Shapes: scores (N, …), all axes but the first being the classes; labels (N,); L ().
    Source: https://caffe.berkeleyvision.org/tutorial/layers/hingeloss.html
    """

    labels_are_classes = True
    backward_reads = ()
    param: HingeLossParameter = param_of(HingeLossParameter)
    cases = (
        Case(
            'type: "HingeLoss"',
            # margins: 1-0.5, max(0, 1-2), 1+0.5; 1+3, 1+0, max(0, 1-3)
            {"x": [[0.5, -2.0, 0.5], [3.0, 0.0, 3.0]], "label": [0, 2]},
            {"loss": (0.5 + 0 + 1.5 + 4 + 1 + 0) / 2},
        ),
        Case(
            'type: "HingeLoss" hinge_loss_param { norm: L2 }',
            {"x": [[0.5, -2.0, 0.5], [3.0, 0.0, 3.0]], "label": [0, 2]},
            {"loss": (0.25 + 2.25 + 16 + 1) / 2},
        ),
        Case(
            'type: "HingeLoss" hinge_loss_param { norm: L2 } loss_weight: 3',
            {"x": random(4, 3, low=-3, high=3), "label": labels(4, classes=3)},
        ),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        scores, labels = bottom
        self._sizes = (scores[0] if scores else 1, math.prod(scores[1:]))
        self._labels = LabelReader(self, self._sizes, 1, None, labels)
        return [()]

    def prepare(self) -> None:
        self._margin = np.empty(self._sizes, self.dtype)
        self._n = max(1, self._sizes[0])
        self._squared = self.param.norm == HingeNorm.L2

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        margin, flat = self._margin, self._margin.reshape(-1)
        self._index = index = self._labels.read(bottom[1])
        margin[...] = bottom[0].reshape(self._sizes)
        flat[index] *= -1
        np.add(margin, 1, margin)
        np.maximum(margin, 0, out=margin)
        top[0][()] = (np.dot(flat, flat) if self._squared else np.add.reduce(flat)) / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        flat, margin = dx.reshape(-1), self._margin.reshape(-1)
        if self._squared:
            np.multiply(margin, 2 * top_diff[0] / self._n, flat)
        else:
            np.multiply(margin > 0, top_diff[0] / self._n, flat)
        flat[self._index] *= -1
