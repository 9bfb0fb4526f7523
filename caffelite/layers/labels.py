"""Reading labels: from floats in a blob to checked indices, and what a loss is divided by."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Layer, Shapes, show
from caffelite.schema.common import LossNormalization, LossParameter


def check_targets(layer: Layer, bottom: Shapes) -> None:
    """Refuse targets that are not as many as the predictions, sample by sample."""
    x, t = bottom
    if not x or not t or x[0] != t[0] or math.prod(x) != math.prod(t):
        layer.fail(
            f'bottom "{layer.spec.bottom[0]}" is {show(x)}, but '
            f'"{layer.spec.bottom[1]}" is {show(t)}',
            "bottom",
            expected="a target for each prediction",
        )


def scores_first(layer: Layer, scores: Shape, labels: Shape, axis: int) -> None:
    """Refuse labels that stand where the scores are read, and scores in their place."""
    if len(scores) <= axis < len(labels):
        first, second = layer.spec.bottom[:2]
        layer.fail(
            f'scores "{first}" are {show(scores)}, and labels "{second}" are {show(labels)}',
            "bottom",
            expected=f'the scores first, then the labels: bottom: "{second}" bottom: "{first}"',
            hint="they are exchanged",
        )


UNWEIGHTED = dict.fromkeys(
    ("loss_param.weight_by_label_freqs", "loss_param.class_weighting"), "it is for SoftmaxWithLoss"
)
"""For the `idle` of other losses."""


class LabelReader:
    """Labels for scores of the shape (outer, C, inner), where C is the extent of `axis`.

    There is one label for each of outer·inner places. `read` refuses a label that is no class and
    gives the flat indices of the labelled scores."""

    def __init__(
        self, layer: Layer, scores: Shape, axis: int, ignore: int | None, labels: Shape
    ) -> None:
        self.layer = layer
        self.outer, self.classes = math.prod(scores[:axis]), scores[axis]
        self.inner = math.prod(scores[axis + 1 :])
        self.ignore = ignore
        if math.prod(labels) != self.outer * self.inner:
            layer.fail(
                f'labels "{layer.spec.bottom[1]}" are {show(labels)}, but scores '
                f'"{layer.spec.bottom[0]}" are {show(scores)}',
                "bottom",
                index=1,
                expected=f"{self.outer * self.inner} labels, one for each sample: "
                f"{show(scores[:axis] + scores[axis + 1 :])}; classes are along axis {axis}",
            )
        places = np.arange(self.outer * self.inner).reshape(self.outer, self.inner)
        # the flat index of class 0 at each place
        self._base = (
            places // self.inner * (self.classes * self.inner) + places % self.inner
        ).ravel()
        self._label = np.empty(self._base.size, np.intp)
        self._index = np.empty(self._base.size, np.intp)
        # seen without a sign, a negative label is a huge one: one comparison finds both
        self._unsigned = self._label.view(np.uintp)
        self._limit = np.array(self.classes, np.uintp)
        self._bad = np.empty(self._base.size, bool)
        self._shaped = self._label.reshape(labels)
        self.shape = labels
        self._nan = np.empty(labels, bool)
        self.valid: Array | None = None
        """Where the label counts, when some are ignored; else None."""

    def read(self, labels: Array) -> Array:
        """The flat index, into (outer, C, inner), of each place's labelled score."""
        if np.count_nonzero(np.isnan(labels, self._nan)):  # a number on some machines, when cast
            self._bad[...] = self._nan.ravel()
            self._refuse(labels)
        self._shaped[...] = labels
        if self.ignore is not None:
            self.valid = self._label != self.ignore
            self._label[~self.valid] = 0
        if np.count_nonzero(np.greater_equal(self._unsigned, self._limit, self._bad)):
            self._refuse(labels)
        if self.inner == 1:
            np.add(self._label, self._base, self._index)
        else:
            np.multiply(self._label, self.inner, self._index)
            np.add(self._index, self._base, self._index)
        return self._index

    @property
    def labels(self) -> Array:
        """The labels last read, as integers; 0 where ignored."""
        return self._label

    @property
    def valid_count(self) -> int:
        """How many labels count."""
        return self._base.size if self.valid is None else int(np.count_nonzero(self.valid))

    def _refuse(self, labels: Array) -> None:
        bad = int(np.flatnonzero(self._bad)[0])
        value = float(labels.reshape(-1)[bad])
        shown = int(value) if value.is_integer() else value
        low, high = labels.min(), labels.max()
        hint = None
        if low >= 1 and high == self.classes:
            hint = "the labels look 1-based (1 to C): subtract 1 from each, they count from 0"
        elif high < 256 and low >= 0:
            hint = f"the labels of this batch go up to {high:g}: is num_output {int(high) + 1}?"
        elif low < 0:
            hint = f"to leave such samples out: loss_param {{ ignore_label: {int(low)} }}"
        where = f"sample {bad // self.inner}"
        if self.inner > 1:
            where += f", place {bad % self.inner}"
        self.layer.fail(
            f"label {shown} of {where} is not a class: there are {self.classes} classes",
            "bottom",
            index=1,
            expected=f"whole numbers from 0 to {self.classes - 1}",
            hint=hint,
        )


def normalization(param: LossParameter, default: LossNormalization) -> LossNormalization:
    """The mode that a loss_param says, the old `normalize` understood."""
    if param.has("normalization"):
        return param.normalization
    if param.has("normalize"):
        return LossNormalization.VALID if param.normalize else LossNormalization.BATCH_SIZE
    return default


def normalizer(
    mode: LossNormalization, outer: int, inner: int, valid: int, fixed: float = 1.0
) -> float:
    """What the sum of losses is divided by; never below 1, so that a batch in which every label
    is ignored has the loss 0. `fixed` is the loss_param's pre_fixed_normalizer."""
    count = {
        LossNormalization.FULL: outer * inner,
        LossNormalization.VALID: valid,
        LossNormalization.BATCH_SIZE: outer,
        LossNormalization.NONE: 1,
        LossNormalization.PRE_FIXED: fixed,
    }[mode]
    return float(max(1, count))
