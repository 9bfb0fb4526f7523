"""TripletLoss: an anchor is to be nearer to its like than to another."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.anchors import param_str
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class TripletLossParameter(LayerMessage, field="triplet_loss_param", number=1147):
    """How much nearer."""

    margin: float = field(1, "float", default=1.0, doc="so much nearer, in squared distances")
    alpha: float = field(101, "float", doc="MyCaffe's word for margin")


@register
class TripletLoss(LossLayer):
    """L = (1/2N) Σ max(0, m + |a − p|² − |a − n|²), with anchors a, samples p that are like them,
    samples n that are not, and m = `margin`.

    Gradients, of the triplets whose term is above 0: ∂L/∂a = (n − p)/N;  ∂L/∂p = (p − a)/N;
    ∂L/∂n = (a − n)/N; of the others 0.
    Shapes: a, p and n (N, …) with equally many values a sample, L (). MyCaffe's labels, a fourth
    bottom, are passed over, as there.

    Also `type: "Python"` of the module tripletlosslayer, class TripletLayer; its param_str may say
    a margin.
    Source: Schroff et al. 2015, FaceNet; as in lchia/caffe-triplet and happynear/caffe-windows.
    """

    bottoms = (3, 4)
    compares = False
    backward_reads = ("bottom",)
    python = (("tripletlosslayer", "TripletLayer"),)
    extension = "lchia/caffe-triplet and others, there triplet_loss_param = 137 or 147"
    param: TripletLossParameter = param_of(TripletLossParameter)
    cases = (
        Case(
            'type: "TripletLoss" triplet_loss_param { margin: 2 }',
            # 2 + 1 - 4 is below 0; 2 + 4 - 1 is 5
            {
                "anchor": [[0.0, 0.0], [0.0, 0.0]],
                "same": [[1.0, 0.0], [0.0, 2.0]],
                "other": [[0.0, 2.0], [1.0, 0.0]],
            },
            {"loss": 5 / 4},
        ),
        Case(
            'type: "TripletLoss" loss_weight: 2 triplet_loss_param { margin: 9 }',
            {"anchor": random(2, 3, 1), "same": random(2, 3, 1), "other": random(2, 3, 1)},
            tops=["loss"],
        ),
        Case(
            'type: "TripletLoss" triplet_loss_param { alpha: 2 }',
            {"anchor": [[0.0]], "same": [[2.0]], "other": [[1.0]], "label": [[7.0, 7.0]]},
            {"loss": (2 + 4 - 1) / 2},
        ),
    )

    def propagates(self, index: int) -> bool:
        return index < 3

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.has("alpha") and p.has("margin"):
            self.fail("margin and alpha are both given", "triplet_loss_param", "alpha")
        self._margin = p.alpha if p.has("alpha") else p.margin
        if self.spec.type == "Python":
            self._margin = param_str(self, {"margin": 1.0}).get("margin", [1.0])[0]

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        a = bottom[0]
        for i, other in enumerate(bottom[:3]):
            if not other or other[0] != a[0] or math.prod(other) != math.prod(a):
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(other)}, but '
                    f'"{self.spec.bottom[0]}" is {show(a)}',
                    "bottom",
                    index=i,
                    expected="equally many samples, and values in each",
                )
        return [()]

    def prepare(self) -> None:
        self._n = max(1, self.bottom_shapes[0][0])

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, p, n = (x.reshape(len(x), -1) for x in bottom[:3])
        near, far = np.square(a - p).sum(1), np.square(a - n).sum(1)
        terms = np.maximum(self._margin + near - far, 0)
        self._counts = terms > 0
        top[0][()] = terms.sum() / (2 * self._n)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        a, p, n = (x.reshape(len(x), -1) for x in bottom[:3])
        scale = (self._counts * (top_diff[0] / self._n))[:, None]
        for dx, (x, y) in zip(bottom_diff, ((n, p), (p, a), (a, n))):
            if dx is not None:
                dx[...] = ((x - y) * scale).reshape(dx.shape)
