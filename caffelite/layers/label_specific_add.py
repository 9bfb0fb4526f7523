"""LabelSpecificAdd: the score of a sample's own class is moved, in training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import LabelReader
from caffelite.schema.common import Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "label_specific_add_param"


class LabelSpecificAddParameter(LayerMessage, field=PARAM, number=1310):
    """By how much."""

    bias: float = field(1, "float", default=0.0, doc="b, below 0 for a margin")
    transform_test: bool = field(2, "bool", default=False, idle="it is for phase TRAIN, there too")
    bias_base: float = field(3, "float", default=0.0, doc="with it b changes from pass to pass")
    bias_gamma: float = field(4, "float", default=0.0, doc="how fast")
    bias_power: float = field(5, "float", default=1.0, doc="by which power of the passes")
    bias_min: float = field(6, "float", default=0.0, doc="least b, with bias_base")
    bias_max: float = field(7, "float", default=0.0, doc="greatest b, with bias_base")
    iteration: int = field(8, "uint32", default=0, doc="passes that count as done before")


@register
class LabelSpecificAdd(Layer):
    """In phase TRAIN y = x, but for the sample's class y = x + b where x > −b; in phase TEST y = x.
    b = `bias`, or with `bias_base` min(`bias_max`, max(`bias_min`,
    `bias_base` + (1 + `bias_gamma`·t)^`bias_power` − 1)) in the pass t = 0, 1, …, counted from
    `iteration` on. A second top holds b, in phase TEST 0.

    Gradient: ∂L/∂x = ∂L/∂y.
    Shapes: x and y (N, C), labels (N,), b (1,).
    Source: Wang et al. 2018, Additive Margin Softmax for Face Verification.
    """

    bottoms = (2, 2)
    tops = (1, 2)
    labels_are_classes = True
    backward_reads = ()
    deployed = False
    extension = f"happynear/caffe-windows, there {PARAM} = 241"
    param: LabelSpecificAddParameter = param_of(LabelSpecificAddParameter)
    cases = (
        Case(
            f'type: "LabelSpecificAdd" {PARAM} {{ bias: -0.25 }}',
            # -b is 0.25, which the second sample's score does not reach
            {"x": [[0.5, 0.75], [0.125, 1.0]], "label": [1, 0]},
            {"y": [[0.5, 0.5], [0.125, 1.0]], "b": [-0.25]},
        ),
        Case(
            f'type: "LabelSpecificAdd" {PARAM} {{ bias: -0.25 }}',
            {"x": [[0.5, 0.75]], "label": [1]},
            {"y": [[0.5, 0.75]]},
            phase=Phase.TEST,
        ),
        Case(
            f'type: "LabelSpecificAdd" {PARAM} {{ bias_base: 0 bias_gamma: -0.5 bias_min: -0.4 '
            "iteration: 2 }",
            {"x": random(3, 4, low=1, high=2), "label": labels(3, classes=4)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self._moves = self.phase == Phase.TRAIN
        self._anneals = self._moves and self.param.has("bias_base")
        self.repeatable = not self._anneals

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, label = bottom
        if len(x) < 2 or math.prod(x[2:]) != 1:
            said = f'bottom "{self.spec.bottom[0]}" is {show(x)}'
            self.fail(said, "bottom", expected="N x C")
        self._labels = LabelReader(self, x[:2], 1, None, label)
        shapes: list[Shape] = [x, (1,)]
        return shapes[: len(self.spec.top)]

    def open(self) -> None:
        self._passes = self.param.iteration

    def state(self) -> dict[str, Any]:
        return {"passes": self._passes} if self._anneals else {}

    def restore(self, state: dict[str, Any]) -> None:
        self._passes = int(state.get("passes", self.param.iteration))

    def _bias(self) -> float:
        p = self.param
        if not self._anneals:
            return float(p.bias) if self._moves else 0.0
        bias = p.bias_base + (1 + p.bias_gamma * self._passes) ** p.bias_power - 1
        self._passes += 1
        return float(min(max(bias, p.bias_min), p.bias_max))

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.copyto(top[0], bottom[0])
        bias = self._bias()
        if len(top) > 1:
            top[1][...] = bias
        if self._moves and top[0].size:
            flat, own = top[0].reshape(-1), self._labels.read(bottom[1])
            flat[own[flat[own] > -bias]] += bias

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.copyto(bottom_diff[0], top_diff[0])

    def propagates(self, index: int) -> bool:
        return index == 0
