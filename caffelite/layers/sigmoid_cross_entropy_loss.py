"""SigmoidCrossEntropyLoss: cross entropy of independent yes-or-no predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import (
    Arrays,
    Diffs,
    Layer,
    LossLayer,
    Shapes,
    param_of,
    register,
    registry,
)
from caffelite.layers.cases import Case, random
from caffelite.layers.labels import UNWEIGHTED, check_targets, normalization, normalizer
from caffelite.schema.common import LossNormalization, LossParameter
from caffelite.schema.net import LayerParameter


@register
class SigmoidCrossEntropyLoss(LossLayer):
    """L = −(1/n) Σ [ t·ln σ(x) + (1 − t)·ln(1 − σ(x)) ], over all values, with
    σ(x) = 1/(1 + e^−x) and the targets t, probabilities from 0 to 1.

    Reckoned as Σ [ max(x, 0) − x·t + ln(1 + e^−|x|) ] / n, which no x can overflow.

    n is set by `loss_param`: BATCH_SIZE (the default: unlike SoftmaxWithLoss, which has VALID),
    the extent of axis 0; VALID, the targets that are not `ignore_label`; FULL, all targets;
    NONE, 1. It is never below 1. A target is ignored if its whole part is `ignore_label`.

    Gradient: ∂L/∂x = (σ(x) − t)/n; 0 where the target is ignored.
    Shapes: x and t (N, …) with equally many values, L (). With a third bottom the layer is
    WeightedSigmoidCrossEntropyLoss.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/sigmoidcrossentropyloss.html
    """

    prediction = "Sigmoid"
    backward_reads = ("bottom",)
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = UNWEIGHTED
    cases = (
        Case(
            'type: "SigmoidCrossEntropyLoss"',
            # σ(0) is 1/2, σ(ln 3) is 3/4
            {"x": [[0.0, math.log(3.0)], [math.log(3.0), 0.0]], "t": [[1.0, 0.0], [0.5, 0.0]]},
            {
                "loss": (2 * math.log(2) + math.log(4) + 0.5 * math.log(4 / 3) + 0.5 * math.log(4))
                / 2
            },
        ),
        Case(
            'type: "SigmoidCrossEntropyLoss" loss_param { ignore_label: -1 normalization: VALID }',
            {"x": [[0.0, 5.0, math.log(3.0)]], "t": [[1.0, -1.0, 0.0]]},
            {"loss": (math.log(2) + math.log(4)) / 2},
        ),
        Case(
            'type: "SigmoidCrossEntropyLoss" loss_param { normalize: true }',
            {"x": [[0.0, 0.0]], "t": [[1.0, 0.0]]},
            {"loss": math.log(2)},
        ),
        Case(
            'type: "SigmoidCrossEntropyLoss" loss_param { normalization: FULL } loss_weight: 3',
            {"x": random(3, 2, 2, low=-4, high=4), "t": random(3, 4, low=0, high=1)},
        ),
        Case(
            'type: "SigmoidCrossEntropyLoss" loss_param { normalization: NONE }',
            {"x": [[-200.0, 200.0]], "t": [[1.0, 0.0]]},
            {"loss": 400.0},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return registry["WeightedSigmoidCrossEntropyLoss"] if len(spec.bottom) > 2 else cls

    def reshape(self, bottom: Shapes) -> list[Shape]:
        check_targets(self, bottom)
        self._mode = normalization(self.loss_param, LossNormalization.BATCH_SIZE)
        return [()]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        self._outer, self._inner = shape[0], math.prod(shape[1:])
        self._term = np.empty(shape, self.dtype)
        self._rest = np.empty(shape, self.dtype)
        self._valid: np.ndarray | None = None

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, t = bottom[0], bottom[1].reshape(bottom[0].shape)
        term, rest = self._term, self._rest
        np.abs(x, rest)
        np.negative(rest, rest)
        np.exp(rest, rest)
        np.log1p(rest, rest)
        np.maximum(x, 0, out=term)
        np.add(rest, term, rest)
        np.multiply(x, t, term)
        np.subtract(rest, term, rest)
        valid = x.size
        if self.loss_param.has("ignore_label"):
            self._valid = t.astype(np.int64) != self.loss_param.ignore_label
            valid = int(np.count_nonzero(self._valid))
            rest[~self._valid] = 0
        self._n = normalizer(
            self._mode,
            self._outer,
            self._inner,
            valid,
            self.loss_param.pre_fixed_normalizer,
        )
        top[0][()] = rest.sum() / self._n

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        x, t = bottom[0], bottom[1].reshape(bottom[0].shape)
        # σ(x) = (1 + tanh(x/2))/2 cannot overflow
        np.multiply(x, 0.5, dx)
        np.tanh(dx, dx)
        np.add(dx, 1, dx)
        np.multiply(dx, 0.5, dx)
        np.subtract(dx, t, dx)
        np.multiply(dx, top_diff[0] / self._n, dx)
        if self._valid is not None:
            np.multiply(dx, self._valid, dx)
