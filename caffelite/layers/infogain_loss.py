"""InfogainLoss: cross entropy in which mistakes cost differently."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, labels, random
from caffelite.layers.labels import UNWEIGHTED, LabelReader, normalizer, scores_first
from caffelite.layers.multinomial_logistic_loss import LOG_THRESHOLD
from caffelite.layers.softmax import SoftmaxKernel, around
from caffelite.paths import find_path
from caffelite.schema.binary import read_blob
from caffelite.schema.bind import span_of
from caffelite.schema.common import LossParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class InfogainLossParameter(LayerMessage, field="infogain_loss_param", number=116):
    """Where the matrix H and the classes are."""

    source: str = field(1, "string", doc="file with H (.binaryproto), if H is no bottom")
    axis: int = field(2, "int32", default=1, doc="the axis of the classes")


@register
class InfogainLoss(LossLayer):
    """L = −(1/n) Σ_i Σ_c H[l_i, c] · ln max(p_ic, 10⁻²⁰), p being the softmax of the scores and
    l_i the label of place i. With H the identity this is SoftmaxWithLoss.

    n is set by `loss_param.normalization`: VALID (the default), the labels that are not
    `ignore_label`; FULL, all labels; BATCH_SIZE, the extent before the class axis; NONE, 1. It is
    never below 1. The old `loss_param.normalize` is refused, as by Caffe.

    Gradient: ∂L/∂x_ic = (p_ic·Σ_k H[l_i, k] − H[l_i, c]) / n; 0 where the label is ignored. As in
    Caffe the floor under p has no part in it. Labels and H get none.
    Shapes: scores (N, C, …), labels (N, …) with the class axis left out, H as a third bottom or
    from `source`, C·C values in any shape; L (); a second top, if named, is p.
    Source: Caffe's infogain_loss_layer.
    """

    prediction = "Softmax"
    labels_are_classes = True
    bottoms = (2, 3)
    tops = (0, 2)
    backward_reads = ()
    param: InfogainLossParameter = param_of(InfogainLossParameter)
    loss_param: LossParameter = param_of(LossParameter, "loss_param")
    idle: ClassVar[Mapping[str, str]] = UNWEIGHTED
    cases = (
        Case(
            'type: "InfogainLoss"',
            # row 0 of H is charged to sample 1, row 1 to sample 0
            {
                "x": [[0.0, math.log(3.0)], [1.0, 1.0]],
                "label": [1, 0],
                "H": [[1.0, 0.5], [0.0, 2.0]],
            },
            {"loss": (2 * math.log(4 / 3) + 1.5 * math.log(2)) / 2},
        ),
        Case(
            'type: "InfogainLoss" loss_param { ignore_label: 9 normalization: BATCH_SIZE }',
            {
                "x": [[0.0, math.log(3.0)], [1.0, 1.0]],
                "label": [1, 9],
                "H": [[1.0, 0.5], [0.0, 2.0]],
            },
            {"loss": 2 * math.log(4 / 3) / 2, "p": [[0.25, 0.75], [0.5, 0.5]]},
        ),
        Case(
            'type: "InfogainLoss" infogain_loss_param { axis: -1 } loss_weight: 2 '
            "loss_param { normalization: NONE }",
            {"x": random(2, 3, 4), "label": labels(2, 3, classes=4), "H": random(1, 1, 4, 4)},
            tops=["loss"],
        ),
        Case(
            'type: "InfogainLoss" loss_param { normalization: FULL ignore_label: 0 }',
            {"x": random(2, 3, 2), "label": labels(2, 2, classes=3), "H": random(3, 3)},
            tops=["loss"],
        ),
    )

    def propagates(self, index: int) -> bool:
        return index == 0

    def setup(self, bottom: Shapes) -> None:
        self._matrix: Array | None = None
        if self.loss_param.has("normalize"):
            self.fail(
                "loss_param.normalize is not for this layer",
                "loss_param",
                "normalize",
                expected="loss_param { normalization: VALID } (or FULL, BATCH_SIZE, NONE)",
            )
        if len(bottom) == 2:
            self._matrix = self._read_matrix()

    def _read_matrix(self) -> Array:
        source = self.param.source
        if not source:
            self.fail(
                "the matrix H is missing",
                "infogain_loss_param",
                expected='a third bottom, or infogain_loss_param { source: "H.binaryproto" }',
            )
        span = span_of(self.spec, "infogain_loss_param", "source")
        path = find_path(source, self.context.folder, span, "matrix file")
        return read_blob(path).astype(self.dtype)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        scores, labels = bottom[:2]
        scores_first(self, scores, labels, self.param.axis)
        axis = self.axis(self.param.axis, len(scores), "infogain_loss_param", "axis")
        ignore = self.loss_param.ignore_label if self.loss_param.has("ignore_label") else None
        self._labels = LabelReader(self, scores, axis, ignore, labels)
        self._sizes = around(scores, axis)
        classes = self._sizes[1]
        shape = bottom[2] if self._matrix is None else self._matrix.shape
        if math.prod(shape) != classes * classes:
            self.fail(
                f"the matrix H is {show(shape)}, but there are {classes} classes",
                "bottom" if self._matrix is None else "infogain_loss_param",
                expected=f"{classes} x {classes} values",
            )
        return [(), scores][: max(1, len(self.spec.top))]

    def prepare(self) -> None:
        outer, classes, inner = self._sizes
        self._softmax = SoftmaxKernel(self._sizes, self.dtype)
        self._prob = np.empty(self._sizes, self.dtype)
        self._log = np.empty(self._sizes, self.dtype)
        # H[l_i, c] at place i and class c
        self._charge = np.empty((outer, inner, classes), self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        reader, (outer, classes, inner) = self._labels, self._sizes
        matrix = bottom[2] if self._matrix is None else self._matrix
        self._softmax(bottom[0], self._prob)
        reader.read(bottom[1])
        charge = self._charge.reshape(-1, classes)
        matrix.reshape(classes, classes).take(reader.labels, 0, charge, "clip")
        if reader.valid is not None:
            np.multiply(charge, reader.valid[:, None], charge)
        np.maximum(self._prob, LOG_THRESHOLD, out=self._log)
        np.log(self._log, self._log)
        np.multiply(self._log, self._charge.transpose(0, 2, 1), self._log)
        self._n = normalizer(
            self.loss_param.normalization,
            outer,
            inner,
            reader.valid_count,
            self.loss_param.pre_fixed_normalizer,
        )
        top[0][()] = -self._log.sum() / self._n
        if len(top) > 1:
            top[1].reshape(self._sizes)[...] = self._prob

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        dx = bottom_diff[0].reshape(self._sizes)
        charge = self._charge.transpose(0, 2, 1)
        np.multiply(self._prob, charge.sum(axis=1, keepdims=True), dx)
        np.subtract(dx, charge, dx)
        np.multiply(dx, top_diff[0] / self._n, dx)
