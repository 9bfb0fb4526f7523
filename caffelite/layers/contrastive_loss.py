"""ContrastiveLoss: pulls similar pairs together, pushes others apart."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ContrastiveLossParameter(LayerMessage, field="contrastive_loss_param", number=105):
    """How far apart dissimilar pairs must be."""

    margin: float = field(1, "float", default=1.0, doc="distance beyond which pairs cost nothing")
    legacy_version: bool = field(
        2, "bool", default=False, doc="use margin - d² in place of (margin - d)²"
    )
    output_matches: bool = field(
        103, "bool", default=False, doc="MyCaffe: a second top says which pairs are told right"
    )


@register
class ContrastiveLoss(LossLayer):
    """L = 1/(2N) · Σ_i [ s_i·d_i² + (1 − s_i)·max(0, margin − d_i)² ], with the distance
    d_i = ‖a_i − b_i‖ and s_i 1 for a similar pair (any label whose whole part is not 0).
    With `legacy_version` the second term is max(0, margin − d_i²).

    Gradients: ∂L/∂a_i = w_i·(a_i − b_i)/N and ∂L/∂b_i = −∂L/∂a_i, where w_i is 1 for a similar
    pair; 0 for a dissimilar one beyond the margin; else −(margin − d_i)/(d_i + 10⁻⁴), or −1 with
    `legacy_version`. The 10⁻⁴ is Caffe's guard against pairs that coincide.
    Shapes: a and b (N, C), also (N, C, 1, 1); s (N,); L (). With `output_matches`, of MyCaffe, a
    second top (N, 1, 1, 1): 1 where a similar pair is within the margin (d ≤ margin, or
    d² ≤ margin), or a dissimilar one beyond it, else 0; no gradient goes back from it.
    Source: Hadsell, Chopra & LeCun 2006; Caffe's contrastive_loss_layer.
    """

    compares = False
    bottoms = (3, 3)
    tops = (0, 2)
    backward_reads = ()
    param: ContrastiveLossParameter = param_of(ContrastiveLossParameter)
    cases = (
        Case(
            'type: "ContrastiveLoss" contrastive_loss_param { margin: 6 }',
            # the distances are 5, 5 and 10
            {"a": [[3.0, 4.0], [3.0, 4.0], [6.0, 8.0]], "b": [[0.0, 0.0]] * 3, "s": [1, 0, 0]},
            {"loss": (25 + 1 + 0) / 6},
            gradient=False,  # the guard of 1e-4 makes it differ a little from the formula's
        ),
        Case(
            'type: "ContrastiveLoss" contrastive_loss_param { margin: 30 legacy_version: true }',
            # the squared distances are 25, 25 and 100
            {"a": [[3.0, 4.0], [3.0, 4.0], [6.0, 8.0]], "b": [[0.0, 0.0]] * 3, "s": [1, 0, 0]},
            {"loss": (25 + 5 + 0) / 6},
        ),
        Case(
            'type: "ContrastiveLoss" contrastive_loss_param { margin: 5 output_matches: true }',
            # of the distances 5, 5, 10 and 10 only the first two are within the margin
            {
                "a": [[3.0, 4.0], [3.0, 4.0], [6.0, 8.0], [6.0, 8.0]],
                "b": [[0.0, 0.0]] * 4,
                "s": [1, 0, 0, 1],
            },
            {"loss": (25 + 0 + 0 + 100) / 8, "match": [[[[1.0]]], [[[0.0]]], [[[1.0]]], [[[0.0]]]]},
            gradient=False,  # two pairs lie at the margin
        ),
        Case(
            'type: "ContrastiveLoss" contrastive_loss_param { margin: 0.1 } loss_weight: 2',
            # dissimilar ones lie well beyond the margin
            {"a": random(4, 3, 1, 1), "b": random(4, 3, low=2, high=3), "s": [1, 0, 0, 1]},
        ),
    )

    def propagates(self, index: int) -> bool:
        return index != 2

    def reshape(self, bottom: Shapes) -> list[Shape]:
        a, b, s = bottom
        samples = a[0] if a else 1
        if not a or not b or a[0] != b[0] or math.prod(a) != math.prod(b):
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(a)}, but '
                f'"{self.spec.bottom[1]}" is {show(b)}',
                "bottom",
                expected="two blobs of N samples x C features",
            )
        if math.prod(s) != samples:
            self.fail(
                f'"{self.spec.bottom[2]}" is {show(s)}, but there are {samples} pairs',
                "bottom",
                expected="one label for each pair: 1 similar, 0 dissimilar",
            )
        self._sizes = (samples, math.prod(a[1:]))
        if len(self.spec.top) > 1 and not self.param.output_matches:
            self.fail(
                "has 2 tops",
                "top",
                index=1,
                expected="1, or contrastive_loss_param { output_matches: true }",
            )
        shapes: list[Shape] = [(), (samples, 1, 1, 1)]
        return shapes[: max(len(self.spec.top), 1)]

    def prepare(self) -> None:
        self._n = max(1, self._sizes[0])
        self._difference = np.empty(self._sizes, self.dtype)
        self._product = np.empty(self._sizes, self.dtype)
        self._weight = np.empty((self._sizes[0], 1), self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b = (x.reshape(self._sizes) for x in bottom[:2])
        similar = bottom[2].reshape(-1).astype(np.int64) != 0
        margin, legacy = self.param.margin, self.param.legacy_version
        np.subtract(a, b, self._difference)
        np.multiply(self._difference, self._difference, self._product)
        squared = np.add.reduce(self._product, 1)
        distance = np.sqrt(squared)
        gap = margin - (squared if legacy else distance)
        apart = np.maximum(gap, 0)
        loss = np.where(similar, squared, apart if legacy else apart * apart)
        top[0][()] = np.add.reduce(loss) / (2 * self._n)
        push = -(gap > 0).astype(self.dtype) if legacy else -apart / (distance + 1e-4)
        self._weight[:, 0] = np.where(similar, 1, push)
        if len(top) > 1:
            np.equal(similar, gap >= 0, out=top[1].reshape(-1), casting="unsafe")

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        weight = self._weight * (top_diff[0] / self._n)
        for dx, sign in zip(bottom_diff[:2], (1, -1)):
            if dx is not None:
                np.multiply(self._difference, sign * weight, dx.reshape(self._sizes))
