"""YoloSeg: the loss of MobileNet-YOLO's maps of classes."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.sigmoid import sigmoid
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "yolo_seg_param"


class YoloSegParameter(LayerMessage, field=PARAM, number=604):
    """How much it counts."""

    num_class: int = field(1, "uint32", default=0, idle="the map says it")
    object_scale: float = field(2, "float", default=5.0, doc="factor of all")
    class_scale: float = field(3, "float", default=1.0, idle="the fork does not use it")
    use_logic_gradient: bool = field(4, "bool", default=False, idle="the fork does not use it")
    use_hardsigmoid: bool = field(5, "bool", default=False, idle="the fork does not use it")


@register
class YoloSeg(LossLayer):
    """L = J/N, J = -Σ w·(t·ln σ(x) + (1 - t)·ln(1 - σ(x))), over all values of scores x and targets
    t, 0 to 1.

    w is `object_scale`. With a third bottom, how many places each class has in each image, w has
    the factor 2 - s where t is above 1/2, s being the class's places in the batch over the others.

    Gradient: ∂L/∂x = δ/N, δ = w·(σ(x) - t). The fork shows Σ δ²/N in place of L; a second top, if
    named, is that.
    Shapes: scores and targets (N, C, H, W); counts (N, C), or as many values; L ().
    Source: eric612/MobileNet-YOLO.
    """

    compares = False
    backward_reads = ()
    bottoms = (2, 3)
    tops = (1, 2)
    extension = f"YOLO fork (eric612/MobileNet-YOLO), {PARAM} = 604"
    param: YoloSegParameter = param_of(YoloSegParameter)
    cases = (
        Case(
            f'type: "YoloSeg" {PARAM} {{ object_scale: 2 }}',
            {"x": [[[[0.0, math.log(3)]]]], "t": [[[[1.0, 0.0]]]]},
            {
                "loss": 2 * (math.log(2) + math.log(4)),
                "shown": 4 * (1 / 4 + 9 / 16),
            },
        ),
        Case(
            f'type: "YoloSeg" {PARAM} {{ object_scale: 1 }}',
            # 2 of 8 places are of the class: 2 - 2/6
            {
                "x": [[[[0.0, 0.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0, 0.0]]]],
                "t": [[[[1.0, 1.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0, 0.0]]]],
                "counts": [[2.0], [0.0]],
            },
            {"loss": math.log(2) * (2 * (2 - 1 / 3) + 6) / 2},
        ),
        Case(
            f'type: "YoloSeg" loss_weight: 3 {PARAM} {{ object_scale: 0.5 }}',
            {
                "x": random(2, 3, 2, 2),
                "t": random(2, 3, 2, 2, low=0, high=1),
                "counts": random(2, 3, low=0, high=2),
            },
            tops=["loss"],
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    def reshape(self, bottom: Shapes) -> list[Shape]:
        scores = bottom[0]
        if len(scores) != 4:
            said = f'bottom "{self.spec.bottom[0]}" is {show(scores)}'
            self.fail(said, "bottom", expected="N x C x H x W")
        for i, wanted in ((1, scores), *((i, scores[:2]) for i in range(2, len(bottom)))):
            if math.prod(bottom[i]) != math.prod(wanted) or bottom[i][:1] != scores[:1]:
                said = f'bottom "{self.spec.bottom[i]}" is {show(bottom[i])}, but '
                said += f'"{self.spec.bottom[0]}" is {show(scores)}'
                self.fail(said, "bottom", index=i, expected=show(wanted))
        self._sizes = scores
        scalar: Shape = ()
        return [scalar] * len(self.spec.top)

    def prepare(self) -> None:
        self._delta = np.zeros(self._sizes, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, t = bottom[0], bottom[1].reshape(self._sizes)
        n, classes, places = len(x), self._sizes[1], math.prod(self._sizes[2:])
        weights = np.full(x.shape, self.param.object_scale, self.dtype)
        if len(bottom) > 2:
            counts = bottom[2].reshape(n, classes).sum(0)
            others = n * places - counts
            share = counts / np.where(others > 0, others, np.inf)
            weights *= np.where(t > 0.5, (2 - share)[:, None, None], 1)
        sigmoid(x, self._delta)
        self._delta -= t
        self._delta *= weights
        samples = max(n, 1)
        # ln(1 + e^x) - t·x is the cross entropy
        top[0][()] = (weights * (np.logaddexp(x, 0) - t * x)).sum() / samples
        if len(top) > 1:
            top[1][()] = np.vdot(self._delta, self._delta) / samples

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.multiply(self._delta, top_diff[0] / max(len(self._delta), 1), bottom_diff[0])
