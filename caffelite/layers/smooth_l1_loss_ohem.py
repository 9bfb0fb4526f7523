"""SmoothL1LossOHEM: a smooth L1 loss that also gives the loss of each sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.labels import UNWEIGHTED, normalization, normalizer
from caffelite.schema.common import LossNormalization, LossParameter


@register
class SmoothL1LossOHEM(LossLayer):
    """L = (1/n) Σ f(d), with d = w·(a − b) and f(d) = d²/2 where |d| < 1, |d| − 1/2 elsewhere; w is
    the third bottom, or 1. A second top, if named, is the sum of f over the channels of each
    sample; it passes no gradient on.

    n is set by `loss_param`: VALID (the default) and FULL, the samples times their places;
    BATCH_SIZE, the samples; PRE_FIXED, `pre_fixed_normalizer`; NONE, 1. It is never below 1.

    Gradient: ∂L/∂a = f′(d)/n with f′(d) = d where |d| < 1, sign d elsewhere, and ∂L/∂b = −∂L/∂a.
    As in the fork w, which is 0 or 1, is no factor of it.
    Shapes: a, b and w (N, C, …); L (); the second top (N, 1, …).
    Source: Shrivastava, Gupta and Girshick 2016, OHEM; Dai et al. 2016, R-FCN.
    """

    bottoms = (2, 3)
    tops = (0, 2)
    learns_labels = True
    backward_reads = ("bottom",)
    extension = "R-FCN fork (daijifeng001/caffe-rfcn, Intel's Caffe)"
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = {
        "loss_param.ignore_label": "targets are values, and no numbers of classes",
        **UNWEIGHTED,
    }
    cases = (
        Case(
            'type: "SmoothL1LossOHEM" loss_param { normalization: PRE_FIXED '
            "pre_fixed_normalizer: 2 }",
            # d is 0.5, 2 (0.125 + 1.5) and, the second value left out, -3 (2.5)
            {
                "a": [[0.5, 2.0], [-3.0, 9.0]],
                "b": [[0.0, 0.0], [0.0, 0.0]],
                "w": [[1.0, 1.0], [1.0, 0.0]],
            },
            {"loss": (0.125 + 1.5 + 2.5) / 2, "each": [[1.625], [2.5]]},
            gradient=False,  # the second top passes none
        ),
        Case(
            'type: "SmoothL1LossOHEM" loss_weight: 2',
            {"a": random(2, 3, 2, low=2, high=4), "b": random(2, 3, 2)},
            tops=["loss"],
        ),
        Case(
            'type: "SmoothL1LossOHEM" loss_param { normalization: BATCH_SIZE }',
            {"a": random(2, 3, low=0, high=0.4), "b": random(2, 3, low=-0.4, high=0)},
            tops=["loss"],
        ),
    )

    def propagates(self, index: int) -> bool:
        return index < 2

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        if len(shape) < 2:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x …")
        for i, other in enumerate(bottom):
            if len(other) < 1 or other[0] != shape[0] or math.prod(other) != math.prod(shape):
                self.fail(
                    f'bottom "{self.spec.bottom[i]}" is {show(other)}, but '
                    f'"{self.spec.bottom[0]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected="bottoms of one shape",
                )
        outer, inner = shape[0], math.prod(shape[2:])
        mode = normalization(self.loss_param, LossNormalization.VALID)
        fixed = self.loss_param.pre_fixed_normalizer
        self._n = normalizer(mode, outer, inner, outer * inner, fixed)
        return [(), (shape[0], 1, *shape[2:])][: max(1, len(self.spec.top))]

    def prepare(self) -> None:
        self._difference = np.empty(self.bottom_shapes[0], self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        d = self._difference
        a, b, *weights = (x.reshape(d.shape) for x in bottom)
        np.subtract(a, b, d)
        if weights:
            np.multiply(d, weights[0], d)
        size = np.abs(d)
        cost = np.where(size < 1, 0.5 * d * d, size - 0.5)
        top[0][()] = cost.sum() / self._n
        if len(top) > 1:
            np.sum(cost, axis=1, keepdims=True, out=top[1])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        slope = np.clip(self._difference, -1, 1)
        scale = top_diff[0] / self._n
        for dx, sign in zip(bottom_diff[:2], (1, -1)):
            if dx is not None:
                np.multiply(slope, sign * scale, dx.reshape(slope.shape))
