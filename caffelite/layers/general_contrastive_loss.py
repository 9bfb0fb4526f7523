"""GeneralContrastiveLoss: near the own class's point, far from all others."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import LabelReader
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "general_contrastive_loss_param"
REFUSED = (
    *("max_negative_only", "max_positive_only", "positive_first", "exp_negative_weight"),
    *("add_intra_mae", "normalize_negative"),
)


class GeneralContrastiveParameter(LayerMessage, field=PARAM, number=1309):
    """From where on distances cost, and how much."""

    positive_margin: float = field(1, "float", default=0.0, doc="the own class costs beyond")
    negative_margin: float = field(2, "float", default=1.0, doc="others cost below")
    positive_weight: float = field(3, "float", default=1.0, least=0, doc="weight of the own class")
    negative_weight: float = field(4, "float", default=1.0, least=0, doc="weight of the others")
    normalize_negative: float = field(5, "float", doc="refused")
    positive_outlier_thresh: float = field(
        6, "float", default=4.0, doc="the own class costs no more, and has no gradient from here on"
    )
    square: bool = field(7, "bool", default=False, idle="the fork does not read it either")
    max_negative_only: bool = field(8, "bool", default=False, doc="refused if true")
    max_positive_only: bool = field(9, "bool", default=False, doc="refused if true")
    positive_first: bool = field(10, "bool", default=False, doc="refused if true")
    positive_upper_bound: float = field(11, "float", default=1.0, idle="for positive_first")
    exp_negative_weight: bool = field(12, "bool", default=False, doc="refused if true")
    add_intra_mae: bool = field(13, "bool", default=False, doc="refused if true")
    max_negative_margin: float = field(14, "float", default=1.2, idle="for add_intra_mae")


@register
class GeneralContrastiveLoss(LossLayer):
    """L = (1/N) Σ_i [ p·min(t, max(0, d_ic − m)) + n·Σ_{j≠c} max(0, m′ − d_ij) ], with distances d
    of sample i from the points of the classes j, its class c, m = `positive_margin`, m′ =
    `negative_margin`, t = `positive_outlier_thresh` and the weights p and n. A second top holds the
    means of the own distances, so cut off, and of what the others lack.

    Gradient: ∂L/∂d_ic = p/N where m < d_ic < t, else 0;  ∂L/∂d_ij = −n/N where d_ij < m′, else 0.
    None from the second top.
    Shapes: d (N, C), labels (N,), L (); the second top (2,).
    Source: Wang et al. 2017, NormFace.
    """

    tops = (0, 2)
    compares = False
    labels_are_classes = True
    backward_reads = ("bottom",)
    extension = f"happynear/caffe-windows, there {PARAM} = 215"
    param: GeneralContrastiveParameter = param_of(GeneralContrastiveParameter)
    cases = (
        Case(
            f'type: "GeneralContrastiveLoss" {PARAM} {{ positive_margin: 0.5 negative_margin: 2 '
            "negative_weight: 3 positive_weight: 2 }",
            # 1.5 - 0.5, twice; 2 - 1, thrice; the third is far. Then 0.25 is near, 2 - 0.5, thrice
            {"d": [[1.5, 1.0, 5.0], [0.5, 0.25, 3.0]], "label": [0, 1]},
            {"loss": (2 + 3 + 4.5) / 2, "means": [1 / 2, (1 + 1.5) / 2 / 2]},
        ),
        Case(
            f'type: "GeneralContrastiveLoss" {PARAM} {{ positive_outlier_thresh: 2 }} '
            "loss_weight: 2",
            {"d": [[3.0, 1.5], [1.0, 0.5]], "label": [0, 0]},
            {"loss": (2 + 1 + 0.5) / 2},
        ),
        Case(
            'type: "GeneralContrastiveLoss"',
            {"d": random(3, 4, low=0.1, high=0.9), "label": labels(3, classes=4)},
            tops=["loss"],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        for name in REFUSED:
            if self.param.get(name):
                self.fail(f"{name} is not followed here", PARAM, name, expected="it left out")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        d, label = bottom
        if len(d) < 2 or math.prod(d[2:]) != 1:
            said = f'bottom "{self.spec.bottom[0]}" is {show(d)}'
            self.fail(said, "bottom", expected="N x C: distances of each sample from each class")
        self._labels = LabelReader(self, d[:2], 1, None, label)
        self._matrix, self._others = (d[0], d[1]), max(1, d[1] - 1)
        shapes: list[Shape] = [(), (2,)]
        return shapes[: max(len(self.spec.top), 1)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        p, d = self.param, bottom[0].reshape(self._matrix)
        self._labels.read(bottom[1])
        self._own = np.zeros(d.shape, bool)
        self._own[np.arange(len(d)), self._labels.labels] = True
        near = np.where(
            self._own, np.clip(d - p.positive_margin, 0, p.positive_outlier_thresh), 0
        ).sum()
        lacks = np.where(self._own, 0, np.maximum(p.negative_margin - d, 0)).sum()
        count = max(1, len(d))
        top[0][()] = (p.positive_weight * near + p.negative_weight * lacks) / count
        if len(top) > 1:
            top[1][...] = near / count, lacks / count / self._others

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        p, d = self.param, bottom[0].reshape(self._matrix)
        near = (d > p.positive_margin) & (d < p.positive_outlier_thresh)
        slope = np.where(
            self._own,
            np.where(near, p.positive_weight, 0),
            np.where(d < p.negative_margin, -p.negative_weight, 0),
        )
        slope = slope.astype(d.dtype) * (top_diff[0] / max(1, len(d)))
        bottom_diff[0][...] = slope.reshape(bottom[0].shape)
