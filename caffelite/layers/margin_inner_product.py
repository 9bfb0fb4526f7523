"""MarginInnerProduct: SphereFace's scores, in which a sample's own class must win by a margin."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import LabelReader
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "margin_inner_product_param"


class MarginType(IntEnum):
    """The factor m on the angle, less one."""

    SINGLE = 0
    DOUBLE = 1
    TRIPLE = 2
    QUADRUPLE = 3


class MarginInnerProductParameter(LayerMessage, field=PARAM, number=1306):
    """The classes, the margin, and how it comes in."""

    num_output: int = field(1, "uint32", least=1, doc="number of classes C")
    type: MarginType = field(2, MarginType, default=MarginType.SINGLE, doc="m, from 1 to 4")
    weight_filler: FillerParameter = field(3, FillerParameter, doc="first values of W")
    axis: int = field(4, "int32", default=1, doc="axes from here on are flattened into K inputs")
    base: float = field(5, "float", default=1.0, doc="λ at first, about")
    gamma: float = field(6, "float", default=0.0, least=0, doc="how fast λ falls")
    power: float = field(7, "float", default=1.0, doc="by which power of the passes")
    iteration: int = field(8, "int32", default=0, least=0, doc="passes that count as done before")
    lambda_min: float = field(9, "float", default=0.0, least=0, doc="least λ")


@register
class MarginInnerProduct(Layer):
    """The rows w of W are made 1 long, for good. y_j = x·w_j = |x|·cos θ_j, but for the sample's
    class y = (|x|·ψ(θ) + λ·|x|·cos θ)/(1 + λ) with ψ(θ) = (−1)^k·cos(mθ) − 2k, θ being from kπ/m to
    (k + 1)π/m, and m = 1 to 4 by `type`. λ = max(`lambda_min`, `base`·(1 + `gamma`·t)^−`power`) in
    the t-th forward pass, of any phase, counted from `iteration` on. A second top holds λ.

    Gradients, as in the fork: ∂L/∂W = (∂L/∂y)ᵀ·x, as if W were free and m = 1. ∂L/∂x = ∂L/∂y · W,
    but for the sample's class w is (u + λ·w)/(1 + λ) there, u being the gradient a·w + b·x of
    |x|·ψ(θ) over √(a² + b²).
    Shapes: x (…, K) with the axes from `axis` on flattened into K, labels one a sample; W (C, K);
    y (axes before `axis`, C), λ (1,).
    Source: Liu et al. 2017, SphereFace: Deep Hypersphere Embedding for Face Recognition.
    """

    bottoms = (2, 2)
    tops = (1, 2)
    labels_are_classes = True
    by_rule = (0,)
    backward_reads = ("bottom",)
    repeatable = False
    deployed = False
    extension = f"wy1iu/sphereface, there {PARAM} = 147"
    param: MarginInnerProductParameter = param_of(MarginInnerProductParameter)
    cases = (
        Case(
            f'type: "MarginInnerProduct" {PARAM} {{ num_output: 2 type: QUADRUPLE lambda_min: 1 }}',
            # 60° is in the second quarter: -cos 240° - 2 is -1.5; of the other, 30°, the cosine
            {"x": [[1.0, math.sqrt(3)]], "label": [0]},
            {"y": [[(2 * -1.5 + 1) / 2, math.sqrt(3)]], "lambda": [1.0]},
            params=[[[3.0, 0.0], [0.0, 0.5]]],
            gradient=False,  # the fork's is another one, on purpose
        ),
        Case(
            f'type: "MarginInnerProduct" {PARAM} {{ num_output: 2 type: DOUBLE base: 0 }}',
            # 120° of 2: -cos 240° - 2
            {"x": [[-1.0, math.sqrt(3)]], "label": [0]},
            {"y": [[2 * (0.5 - 2), math.sqrt(3)]]},
            params=[[[3.0, 0.0], [0.0, 0.5]]],
            gradient=False,
        ),
        Case(
            f'type: "MarginInnerProduct" {PARAM} {{ num_output: 2 type: TRIPLE base: 3 '
            "gamma: 0.5 }",
            # 30°: cos 90° is 0; the λ of the first pass is 3/1.5
            {"x": [[math.sqrt(3), 1.0]], "label": [0]},
            {"y": [[2 * math.sqrt(3) / 3, 1.0]], "lambda": [2.0]},
            params=[[[3.0, 0.0], [0.0, 0.5]]],
            gradient=False,
        ),
        Case(
            f'type: "MarginInnerProduct" {PARAM} {{ num_output: 3 }}',
            {"x": random(4, 2, 2), "label": labels(4, classes=3)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        self.need(
            PARAM, "num_output", expected=f"the number of classes, {PARAM} {{ num_output: 9 }}"
        )
        self._at = self.axis(p.axis, len(shape), PARAM, "axis")
        self._inputs = math.prod(shape[self._at :])
        self.declare((p.num_output, self._inputs), p.weight_filler)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        x, label = bottom
        if math.prod(x[self._at :]) != self._inputs:
            said = f'bottom "{self.spec.bottom[0]}" is {show(x)}, but the weights are for '
            self.fail(f"{said}{self._inputs} inputs", "bottom")
        top = (*x[: self._at], self.param.num_output)
        samples = math.prod(x[: self._at])
        self._labels = LabelReader(self, (samples, top[-1]), 1, None, label)
        shapes: list[Shape] = [top, (1,)]
        return shapes[: len(self.spec.top)]

    def open(self) -> None:
        self._passes = self.param.iteration

    def state(self) -> dict[str, Any]:
        return {"passes": self._passes}

    def restore(self, state: dict[str, Any]) -> None:
        self._passes = int(state.get("passes", self.param.iteration))

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        return math.prod(top[0]) * self._inputs

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        p, w = self.param, self.params[0].data
        self._passes += 1
        self._lambda = max(p.base * (1 + p.gamma * self._passes) ** -p.power, p.lambda_min)
        length = np.sqrt(np.square(w).sum(1, keepdims=True))
        w /= np.where(length > 0, length, 1)
        x, y = bottom[0].reshape(-1, self._inputs), top[0].reshape(-1, len(w))
        np.matmul(x, w.T, out=y)
        if len(top) > 1:
            top[1][...] = self._lambda
        self._labels.read(bottom[1])
        own = np.arange(len(x)), self._labels.labels
        self._length = np.sqrt(np.square(x).sum(1))
        if p.type != MarginType.SINGLE:
            length = np.where(self._length > 0, self._length, 1)
            self._cos = np.clip(y[own] / length, -1, 1)
            m = p.type + 1
            self._turn = np.minimum(np.floor(np.arccos(self._cos) * (m / math.pi)), m - 1)
            wave = self._wave(0)
            own_score = self._length * ((-1) ** self._turn * wave - 2 * self._turn)
            y[own] = (own_score + self._lambda * y[own]) / (1 + self._lambda)

    def _wave(self, order: int) -> Array:
        """cos(mθ) as a polynomial in cos θ (order 0), or its derivative by cos θ (order 1)."""
        waves = {1: (-1.0, 0, 2), 2: (0.0, -3, 0, 4), 3: (1.0, 0, -8, 0, 8)}
        factors = waves[int(self.param.type)]
        if order:
            factors = tuple(i * factor for i, factor in enumerate(factors))[1:]
        result: Array = np.zeros_like(self._cos)
        for factor in reversed(factors):
            result = result * self._cos + factor
        return result

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        w, dx = self.params[0], bottom_diff[0]
        x, dy = bottom[0].reshape(-1, self._inputs), top_diff[0].reshape(-1, len(w.data))
        if self.learns[0]:
            w.diff[...] += dy.T @ x
        if dx is None:
            return
        flat = dx.reshape(x.shape)
        np.matmul(dy, w.data, out=flat)
        if self.param.type == MarginType.SINGLE:
            return
        own = self._labels.labels
        sign = (-1) ** self._turn
        along_w = sign * self._wave(1)
        length = np.where(self._length > 0, self._length, 1)
        psi = sign * self._wave(0) - 2 * self._turn
        along_x = (psi - along_w * self._cos) / length
        size = np.sqrt(along_w**2 + along_x**2)
        g = dy[np.arange(len(x)), own] / (1 + self._lambda)
        u = (along_w / size)[:, None] * w.data[own] + (along_x / size)[:, None] * x
        flat += g[:, None] * (u - w.data[own])

    def propagates(self, index: int) -> bool:
        return index == 0
