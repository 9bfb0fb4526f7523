"""What MS-CNN's and Cascade R-CNN's proposal losses and their accuracies share: codes of boxes at
the cells of maps; labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Layer, Shapes, show
from caffelite.layers.bbox_reg import ONE_SET, BBoxRegParameter, normal
from caffelite.schema.common import LossParameter

COORDS = 4
FLT_MIN = float(np.finfo(np.float32).tiny)


def idle_fields(why: str) -> dict[str, str]:
    """Why these layers pass fields over; of loss_param they read `ignore_label` alone."""
    names = (name for name in LossParameter.specs if name != "ignore_label")
    return ONE_SET | {f"loss_param.{name}": why for name in names}


LOSS_IDLE = idle_fields("the cells that count, each once, are what it is divided by")
ACCURACY_IDLE = idle_fields("it is no loss")


def class_loss(scores: Array, kinds: Array, weights: Array, counts: Array) -> tuple[float, Array]:
    """(1/m) Σ −w·ln max(p, FLT_MIN) over the m cells that count, p being the softmax probability of
    the cell's class; and its gradient, (N, C, H, W) as the scores."""
    probability = softmax(scores)
    n, row, column = where = np.nonzero(counts)
    own = (n, kinds[where], row, column)
    m, share = max(len(n), 1), weights[where]
    slope = np.zeros(scores.shape, scores.dtype)
    slope[n, :, row, column] = (share / m)[:, None] * probability[n, :, row, column]
    slope[own] -= share / m
    return float(-(share * np.log(np.maximum(probability[own], FLT_MIN))).sum() / m), slope


def softmax(scores: Array) -> Array:
    """The probabilities of classes (N, C, …)."""
    result: Array = np.exp(scores - scores.max(1, keepdims=True))
    result /= result.sum(1, keepdims=True)
    return result


class FieldCodes:
    """Maps (N, C + 4, H, W) of class scores and codes, or both in a map of its own; labels
    (N, 6, H, W): class, centre x, y, width, height, and how much the cell's field overlaps an
    object. With G fields map n has the field n modulo G."""

    def __init__(
        self, layer: Layer, message: str, reg: BBoxRegParameter, rate: str = "downsample_rate"
    ) -> None:
        p: Any = layer.spec.get(message)
        for name in ("cls_num", "field_h", "field_w", rate):
            layer.need(message, name, expected=f"{name}: a whole number from 1 on")
        fields = [v if isinstance(v, list) else [v] for v in (p.field_w, p.field_h)]
        if len(fields[0]) != len(fields[1]):
            layer.fail(
                f"{len(fields[0])} field_w, but {len(fields[1])} field_h",
                message,
                "field_h",
                expected=f"{len(fields[0])} of both",
            )
        if p.objectness and p.cls_num != 2:
            layer.fail(
                f"objectness with {p.cls_num} classes", message, "cls_num", expected="2 classes"
            )
        self.layer, self.classes, self.objectness = layer, int(p.cls_num), bool(p.objectness)
        self.size = np.array(fields, layer.dtype).T
        self.groups = len(self.size)
        self.rate = int(p.get(rate))
        mean, std = normal(layer, reg)
        self.mean, self.std = mean.astype(layer.dtype), std.astype(layer.dtype)
        self.move, self.grow = 1 / p.field_xyr, math.log(p.field_whr)

    def fit(self, bottom: Shapes) -> None:
        """Refuse maps or labels of another shape."""
        layer = self.layer
        layer.need_values(bottom)
        maps, what = bottom[0], ["scores", "codes", "class, centre, size and overlap"]
        channels_of = [self.classes, COORDS, COORDS + 2]
        if len(bottom) == 2:
            channels_of[:2], what[:2] = [self.classes + COORDS], ["scores and codes"]
        for i, (shape, channels) in enumerate(zip(bottom, channels_of)):
            good = len(shape) == 4 and shape[1] == channels
            if not good or (shape[0], *shape[2:]) != (maps[0], *maps[2:]):
                layer.fail(
                    f'bottom "{layer.spec.bottom[i]}" is {show(shape)}',
                    "bottom",
                    index=i,
                    expected=f"N x {channels} x H x W, {what[i]}",
                )
        if maps[0] % self.groups:
            name = layer.spec.bottom[0]
            said = f'bottom "{name}" is {show(maps)}, but there are {self.groups} fields'
            expected = f"a multiple of {self.groups} maps: one of each image and field"
            layer.fail(said, "bottom", expected=expected)
        columns, rows = (np.arange(n, dtype=layer.dtype) + 0.5 for n in maps[:1:-1])
        self.centres = np.stack(np.broadcast_arrays(columns, rows[:, None]), -1) * self.rate

    def kinds(self, labels: Array) -> Array:
        """The class at each place, (N, H, W)."""
        kinds: Array = labels[:, 0].astype(np.intp)
        if self.objectness:
            np.minimum(kinds, 1, out=kinds)
        bad = (kinds < 0) | (kinds >= self.classes) | (labels[:, 0] != np.floor(labels[:, 0]))
        ignored = self.layer.spec.get("loss_param")
        if ignored.has("ignore_label"):
            bad &= kinds != ignored.ignore_label
        if bad.any():
            layer = self.layer
            layer.fail(
                f'labels "{layer.spec.bottom[-1]}": {labels[:, 0][bad][0]:g} is not a class: there '
                f"are {self.classes} classes",
                "bottom",
                index=len(layer.spec.bottom) - 1,
                expected=f"whole numbers from 0 to {self.classes - 1}",
            )
        return kinds

    def live(self, kinds: Array) -> Array:
        """Which places are not left out by an `ignore_label`."""
        ignored = self.layer.spec.get("loss_param")
        if not ignored.has("ignore_label"):
            return np.ones(kinds.shape, bool)
        result: Array = kinds != ignored.ignore_label
        return result

    def counted(self, labels: Array, threshold: float) -> tuple[Array, Array, Array]:
        """Classes; where objects are; and where objects are, or backgrounds that overlap none by as
        much as the threshold. All (N, H, W)."""
        kinds = self.kinds(labels)
        live = self.live(kinds)
        objects: Array = (kinds != 0) & live
        return kinds, objects, objects | ((kinds == 0) & live & (labels[:, 5] < threshold))

    def bounds(self) -> tuple[Array, Array]:
        """The least and the largest value of the four codes, normalised as the loss does it: by the
        means of both axes' means, and the geometric means of their deviations."""
        limit = np.repeat([self.move, self.grow], 2)
        mean = np.repeat(self.mean.reshape(2, 2).mean(1), 2)
        std = np.repeat(np.sqrt(self.std.reshape(2, 2).prod(1)), 2)
        return (-limit - mean) / std, (limit - mean) / std

    def targets(self, labels: Array, where: tuple[Array, ...]) -> Array:
        """The codes of the labelled boxes at some places (n, h, w): (K, 4)."""
        n, row, column = where
        box = labels[n, 1:5, row, column]
        move = (box[:, :2] - self.centres[row, column]) / self._sizes(n)
        grow = np.log(np.maximum(box[:, 2:], 2) / self._sizes(n))
        result: Array = (np.concatenate([move, grow], 1) - self.mean) / self.std
        return result

    def boxes(self, codes: Array, where: tuple[Array, ...]) -> Array:
        """Centres and sizes (K, 4) of boxes with these codes (K, 4) at some places (n, h, w)."""
        t = codes * self.std + self.mean
        sizes = self._sizes(where[0])
        size = sizes * np.exp(np.clip(t[:, 2:], -self.grow, self.grow))
        move = np.clip(t[:, :2], -self.move, self.move) * sizes
        return np.concatenate([move + self.centres[where[1], where[2]], size], 1)

    def _sizes(self, n: Array) -> Array:
        """Width and height of the fields of some maps."""
        sizes: Array = self.size[n % self.groups]
        return sizes

    def demanded(self, shape: Shape, rng: np.random.Generator) -> Array:
        """Labels for nets without data: objects of the field's size at some cells."""
        labels = np.zeros(shape)
        labels[:, 0] = rng.integers(0, self.classes, (shape[0], *shape[2:])) * (
            rng.uniform(size=(shape[0], *shape[2:])) < 0.3
        )
        labels[:, 1:3] = self.centres.transpose(2, 0, 1)
        labels[:, 3:5] = self._sizes(np.arange(shape[0]))[:, :, None, None]
        labels[:, 5] = labels[:, 0] > 0
        return labels
