"""Downsample: images made smaller, with values that are not known left out."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

NAN = float("nan")


class DownsampleParameter(LayerMessage, field="downsample_param", number=156):
    """The new size, where no second bottom says it."""

    top_height: int = field(1, "uint32", default=0, doc="height of the top")
    top_width: int = field(2, "uint32", default=0, doc="width of the top")


def sized(layer: Layer, bottom: Shapes, group: str, height: str, width: str) -> Shape:
    """Height and width of the top: those of a second bottom, or else the message's."""
    if any(len(s) != 4 for s in bottom):
        layer.fail(
            "bottoms are " + ", ".join(map(show, bottom)), "bottom", expected="N x C x H x W"
        )
    message = layer.spec.get(group)
    if len(bottom) == 2:
        return bottom[1][2:]
    found = message.get(height), message.get(width)
    if min(found) < 1:
        layer.fail(
            "the size is missing" if not max(found) else f"{found[0]} x {found[1]} is no size",
            *([group] if layer.spec.has(group) else []),
            expected=f"{height} and {width}, or a second bottom of that size",
        )
    return found


def shares(weights: Array) -> Array:
    """Each row divided by its sum; one without any weight stays 0."""
    total = weights.sum(1, keepdims=True)
    result: Array = weights / np.where(total == 0, 1, total)
    return result


@register
class Downsample(Layer):
    """y at row i of n is the weighted mean of the bottom's rows j of m, and likewise for columns:
    the corners lie on each other, row i at i·r with r = (m − 1)/(n − 1), and row j weighs
    1 − |j − i·r|/r, but at least 0. Values that are not numbers are left out; if they have more
    than half of the others' weight, y is not a number either.

    The size is that of a second bottom if there is one, else `top_height` and `top_width`. One
    size, and the top is the bottom.

    Gradient: ∂L/∂y by the same weights; none for the second bottom.
    Shapes: (N, C, H, W) to (N, C, height, width), extents of 2 or more where they change.
    Source: Dosovitskiy et al. 2015, FlowNet (lmb-freiburg); it has no backward pass.
    """

    deployed = False
    bottoms = (1, 2)
    backward_reads = ("bottom",)
    extension = "FlowNet's forks, downsample_param = 156"
    param: DownsampleParameter = param_of(DownsampleParameter)
    cases = (
        Case(
            'type: "Downsample" downsample_param { top_height: 1 top_width: 2 }',
            # r is 2: the ends weigh 1, their neighbours 1/2
            {"x": [[[[1.0, 4.0, 7.0]]]]},
            {"y": [[[[2.0, 6.0]]]]},
        ),
        Case(
            'type: "Downsample" downsample_param { top_height: 1 top_width: 2 }',
            {"x": [[[[NAN, 4.0, 7.0]], [[1.0, NAN, 7.0]]]]},
            {"y": [[[[NAN, 6.0]], [[1.0, 7.0]]]]},
            gradient=False,  # of values that are not numbers
        ),
        Case('type: "Downsample"', {"x": random(2, 2, 5, 4), "size": random(1, 1, 3, 4)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        size = sized(self, bottom, "downsample_param", "top_height", "top_width")
        for new, old in zip(size, bottom[0][2:]):
            if new != old and min(new, old) < 2:
                self.fail(
                    f"{old} rows or columns would become {new}",
                    "bottom",
                    expected="2 or more of both, or as many",
                )
        return [(*bottom[0][:2], *size)]

    def propagates(self, index: int) -> bool:
        return index == 0

    def prepare(self) -> None:
        sizes = zip(self.top_shapes[0][2:], self.bottom_shapes[0][2:])
        self._a, self._b = (self._weights(n, m) for n, m in sizes)

    def _weights(self, n: int, m: int) -> Array:
        if n == m:
            return np.eye(n, dtype=self.dtype)
        ratio = (m - 1) / (n - 1)
        far = np.abs(np.arange(m) - ratio * np.arange(n)[:, None])
        return np.maximum(0, 1 - far / ratio).astype(self.dtype)

    def _weigh(self, x: Array) -> Array:
        result: Array = self._a @ x @ self._b.T
        return result

    def _known(self, x: Array) -> tuple[Array, Array]:
        """Which values are numbers, and the weight of those in each place of the top."""
        known = ~np.isnan(x)
        return known, self._weigh(known.astype(self.dtype))

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = bottom[0], top[0]
        if x.shape == y.shape:
            np.copyto(y, x)
            return
        known, weight = self._known(x)
        whole = np.outer(self._a.sum(1), self._b.sum(1))
        np.copyto(y, self._weigh(np.where(known, x, 0)))
        np.divide(y, np.where(weight > 0, weight, 1), y)
        y[(whole - weight > 0.5 * weight) | (weight <= 0)] = np.nan

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx, dy = bottom_diff[0], top_diff[0]
        if dx is None:
            return
        if dx.shape == dy.shape:
            np.copyto(dx, dy)
            return
        known, weight = self._known(bottom[0])
        np.copyto(dx, self._a.T @ (dy / np.where(weight > 0, weight, 1)) @ self._b)
        dx[~known] = 0
