"""Softmax: scores to probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.common import NO_CHOICE, Engine
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class SoftmaxParameter(LayerMessage, field="softmax_param", number=125):
    """Where the classes are."""

    engine: Engine = field(1, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)
    axis: int = field(2, "int32", default=1, doc="the axis of the classes")
    normalize_type: str = field(7, "string", default="Softmax", doc="NormalizeChannels: L1 or L2")


def around(shape: Shape, axis: int) -> tuple[int, int, int]:
    """A shape seen as (outer, C, inner), C being the extent of `axis`."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


class SoftmaxKernel:
    """softmax over the middle axis of (outer, C, inner), without large allocations."""

    _ones: Array | None

    def __init__(self, sizes: tuple[int, int, int], dtype: np.dtype) -> None:
        outer, classes, inner = sizes
        # rows of (outer, C) are what NumPy is fastest at, so a last axis of 1 is dropped
        self.sizes = sizes if inner != 1 else sizes[:2]
        self._row = np.empty((outer, 1, inner) if inner != 1 else (outer, 1), dtype)
        self._flat_row = self._row.reshape((outer, inner) if inner != 1 else (outer,))
        self._sums, self._ones = self._row, None
        if inner == 1 and classes <= 32:
            # A product with ones gives each row's sum at each of its places; to divide by that is
            # much faster than to divide short rows by one number each.
            self._sums = np.empty(self.sizes, dtype)
            self._ones = np.ones((classes, classes), dtype)

    def __call__(self, x: Array, y: Array) -> None:
        if not x.size:
            return
        if x.shape != self.sizes:
            x = x.reshape(self.sizes)
        if y.shape != self.sizes:
            y = y.reshape(self.sizes)
        # e^(x - max) cannot overflow, and the quotient is the same
        np.maximum.reduce(x, axis=1, out=self._flat_row)
        np.subtract(x, self._row, y)
        np.exp(y, y)
        if self._ones is None:
            np.add.reduce(y, axis=1, out=self._flat_row)
        else:
            np.dot(y, self._ones, self._sums)
        np.divide(y, self._sums, y)


@register
class Softmax(Layer):
    """y_c = exp(x_c) / Σ_k exp(x_k), over the classes c along `axis`.

    Gradient: ∂L/∂x_c = y_c · (∂L/∂y_c − Σ_k ∂L/∂y_k · y_k).
    Shapes: bottom and top alike.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/softmax.html
    """

    gives_probability = True
    in_place = True
    backward_reads = ("top",)
    param: SoftmaxParameter = param_of(SoftmaxParameter)
    idle: ClassVar[Mapping[str, str]] = {
        "softmax_param.normalize_type": "NormalizeChannels reads it"
    }
    cases = (
        Case(
            'type: "Softmax"',
            {"x": [[0.0, math.log(3.0)], [1.0, 1.0]]},
            {"y": [[0.25, 0.75], [0.5, 0.5]]},
        ),
        Case('type: "Softmax" softmax_param { axis: -3 }', {"x": random(2, 4, 3, 2)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self._axis = self.axis(self.param.axis, len(bottom[0]), "softmax_param", "axis")
        return [bottom[0]]

    def prepare(self) -> None:
        self._sizes = around(self.bottom_shapes[0], self._axis)
        self._softmax = SoftmaxKernel(self._sizes, self.dtype)
        self._product = np.empty(self._sizes, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        self._softmax(bottom[0], top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        y, dy, dx = (a.reshape(self._sizes) for a in (top[0], top_diff[0], bottom_diff[0]))
        np.multiply(dy, y, self._product)
        np.subtract(dy, self._product.sum(axis=1, keepdims=True), dx)
        np.multiply(dx, y, dx)
