"""CenterLoss: the features of a class are drawn to their centre."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import LabelReader
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "center_loss_param"


class CenterLossParameter(LayerMessage, field=PARAM, number=1148):
    """The classes and where their centres start."""

    num_output: int = field(1, "uint32", least=1, doc="number of classes C")
    center_filler: FillerParameter = field(2, FillerParameter, doc="first values of the centres")
    axis: int = field(3, "int32", default=1, doc="first axis of a sample's features")


@register
class CenterLoss(LossLayer):
    """L = (1/2N) Σ_i |x_i − c_i|², c_i being the centre of sample i's class.

    Gradient: ∂L/∂x_i = (x_i − c_i)/N. What moves the centre c of a class is not ∂L/∂c but, as in
    the paper and the fork, Σ (c − x_i)/(1 + k) over the k samples of the class, whatever the loss
    weight; lr_mult sets how fast.
    Shapes: x (N, …), labels (N,) or (N, 1, …), L (); centres (C, D) with D values in a sample.
    Source: Wen et al. 2016, A Discriminative Feature Learning Approach for Deep Face Recognition.
    """

    labels_are_classes = True
    by_rule = (0,)
    backward_reads = ("bottom",)
    extension = "ydwen/caffe-face, there center_loss_param = 147"
    param: CenterLossParameter = param_of(CenterLossParameter)
    cases = (
        Case(
            f'type: "CenterLoss" {PARAM} {{ num_output: 3 }}',
            {"x": [[1.0, 2.0], [3.0, 4.0]], "label": [2, 0]},
            {"loss": (1 + 4 + 4 + 9) / 4},
            params=[[[1.0, 1.0], [7.0, 7.0], [0.0, 0.0]]],
        ),
        Case(
            f'type: "CenterLoss" loss_weight: 2 {PARAM} {{ num_output: 2 }}',
            {"x": random(3, 2, 2), "label": labels(3, 1, classes=2)},
            tops=["loss"],
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        self.need(
            PARAM, "num_output", expected=f"the number of classes, {PARAM} {{ num_output: 9 }}"
        )
        if self.axis(p.axis, len(shape), PARAM, "axis") != 1:
            self.fail(f"axis is {p.axis}", PARAM, "axis", expected="1: samples, then their values")
        self._features = math.prod(shape[1:])
        self.declare((p.num_output, self._features), p.center_filler)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        x, label = bottom
        if math.prod(x[1:]) != self._features:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(x)}, but the centres are of '
                f"{self._features} values",
                "bottom",
            )
        self._labels = LabelReader(self, (x[0], self.param.num_output), 1, None, label)
        return [()]

    def prepare(self) -> None:
        self._n = max(1, self.bottom_shapes[0][0])

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, label = bottom
        self._labels.read(label)
        self._apart = x.reshape(len(x), -1) - self.params[0].data[self._labels.labels]
        top[0][()] = np.square(self._apart).sum() / (2 * self._n)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if self.learns[0]:
            known = self._labels.labels
            counts = np.bincount(known, minlength=self.param.num_output)
            np.subtract.at(
                self.params[0].diff,
                known,
                self._apart / (1 + counts[known, None]).astype(self.dtype),
            )
        dx = bottom_diff[0]
        if dx is not None:
            np.multiply(self._apart.reshape(dx.shape), top_diff[0] / self._n, dx)
