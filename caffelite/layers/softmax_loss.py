"""SoftmaxWithLoss: cross entropy of the softmax, the loss of classification."""

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
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import LabelReader, normalization, normalizer, scores_first
from caffelite.layers.softmax import SoftmaxKernel, SoftmaxParameter, around
from caffelite.schema.common import LossNormalization, LossParameter
from caffelite.schema.net import LayerParameter

FLT_MIN = float(np.finfo(np.float32).tiny)
"""Caffe's floor under a probability; the largest loss of one sample is -ln of it, 87.3365."""


@register
class SoftmaxWithLoss(LossLayer):
    """L = −(1/n) Σ_i ln max(p_i, FLT_MIN), p_i being the softmax probability of sample i's label.

    n is set by `loss_param`: VALID (the default), the labels that are not `ignore_label`; FULL,
    all labels; BATCH_SIZE, the extent before the class axis; NONE, 1. It is never below 1.

    Gradient: ∂L/∂x_c = (p_c − [c is the label]) / n; 0 where the label is ignored. As in Caffe the
    floor under p has no part in the gradient.

    Shapes: scores (N, C, …), labels (N, …) with the class axis left out, loss (); a second top,
    if named, is the softmax. With a third the layer is SoftmaxWithLossOHEM.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/softmaxwithloss.html
    """

    prediction = "Softmax"
    floor = FLT_MIN
    labels_are_classes = True
    weighs_classes = False
    tops = (0, 2)
    backward_reads = ("bottom",)
    param: SoftmaxParameter = param_of(SoftmaxParameter)
    idle: ClassVar[Mapping[str, str]] = {
        "softmax_param.normalize_type": "NormalizeChannels reads it"
    }
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "SoftmaxWithLoss"',
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0]], "label": [1, 0]},
            {"loss": (math.log(4 / 3) + math.log(2)) / 2},
        ),
        Case(
            'type: "SoftmaxWithLoss" loss_param { ignore_label: 9 normalization: BATCH_SIZE }',
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0]], "label": [1, 9]},
            {"loss": math.log(4 / 3) / 2, "p": [[0.25, 0.75], [0.5, 0.5]]},
        ),
        Case(
            'type: "SoftmaxWithLoss" loss_weight: 2 loss_param { normalization: NONE }',
            {"x": random(2, 4, 3, 2), "label": labels(2, 3, 2, classes=4)},
            tops=["loss"],
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        weighted = cls is SoftmaxWithLoss and spec.loss_param.weight_by_label_freqs
        if cls is SoftmaxWithLoss and len(spec.top) > 2:  # R-FCN's first form
            return registry["SoftmaxWithLossOHEM"]
        return registry["ClassWeightedSoftmaxWithLoss"] if weighted else cls

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, scores, labels = self.loss_param, *bottom
        if p.weight_by_label_freqs and not self.weighs_classes:
            message = f"{len(p.class_weighting)} class_weighting are for SoftmaxWithLoss"
            self.fail(message, "loss_param", "class_weighting", expected="a loss without them")
        scores_first(self, scores, labels, self.param.axis)
        self._axis = self.axis(self.param.axis, len(scores), "softmax_param", "axis")
        ignore = self.loss_param.ignore_label if self.loss_param.has("ignore_label") else None
        self._labels = LabelReader(self, scores, self._axis, ignore, labels)
        self._mode = normalization(self.loss_param, LossNormalization.VALID)
        self._fixed: float = self.loss_param.pre_fixed_normalizer
        return [(), scores][: max(1, len(self.spec.top))]

    def prepare(self) -> None:
        self._sizes = around(self.bottom_shapes[0], self._axis)
        self._softmax = SoftmaxKernel(self._sizes, self.dtype)
        self._prob = np.empty(self._softmax.sizes, self.dtype)
        self._flat = self._prob.reshape(-1)
        self._picked = np.empty(self._sizes[0] * self._sizes[2], self.dtype)
        self._floor = np.array(FLT_MIN, self.dtype)
        self._scale = np.array(0, self.dtype)  # arrays of one value: faster than numbers
        self._n = self._count()
        self._share = np.full(self._picked.size, -1 / self._n, self.dtype)

    def _count(self) -> float:
        outer, _, inner = self._sizes
        return normalizer(self._mode, outer, inner, self._labels.valid_count, self._fixed)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, label = bottom
        reader, picked = self._labels, self._picked
        self._softmax(x, self._prob)
        self._index = index = reader.read(label)
        self._flat.take(index, None, picked, "clip")
        np.maximum(picked, self._floor, out=picked)
        np.log(picked, picked)
        if reader.valid is not None:
            np.multiply(picked, reader.valid, picked)
            self._n = self._count()
            self._share.fill(-1 / self._n)
        np.dot(picked, self._share, top[0])
        if len(top) > 1:
            top[1].reshape(-1)[:] = self._flat

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx, scale = bottom_diff[0], self._scale
        if dx is None:
            return
        scale[()] = top_diff[0].item() / self._n
        flat = dx.reshape(-1)
        np.multiply(self._flat, scale, flat)
        flat[self._index] -= scale
        valid = self._labels.valid
        if valid is not None:
            outer, _, inner = self._sizes
            places = dx.reshape(self._sizes)
            np.multiply(places, valid.reshape(outer, 1, inner), places)
