"""Correlation: how alike the surroundings of two maps are, for each shift of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from itertools import product
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "correlation_param"


class CorrelationType(IntEnum):
    """What is made of two values."""

    MULTIPLY = 0
    SUBTRACT = 1


class CorrelationParameter(LayerMessage, field=PARAM, number=1150):
    """The patch that is compared, and how far it is moved."""

    pad: int = field(2, "uint32", default=0, doc="zeros around both maps")
    kernel_size: int = field(3, "uint32", least=1, doc="side of a patch, odd")
    max_displacement: int = field(4, "uint32", doc="the farthest shift, along each axis")
    stride_1: int = field(5, "uint32", default=1, least=1, doc="step of the patch")
    stride_2: int = field(6, "uint32", default=1, least=1, doc="step of the shifts")
    correlation_type: CorrelationType = field(
        15, CorrelationType, default=CorrelationType.MULTIPLY, doc="a·b, or |a − b|"
    )


@register
class Correlation(Layer):
    """For each patch of a and each shift (p, o) of it in b, the mean of a·b (MULTIPLY) or |a − b|
    (SUBTRACT) over the channels and the K x K places of the patch. Shifts are the multiples of
    `stride_2` up to `max_displacement`, R = ⌊max_displacement/stride_2⌋ to each side, row by row;
    both maps are padded with zeros.

    Gradient: of a·b each is the other, of |a − b| they are 1 and −1 where a ≥ b, else −1 and 1; for
    each patch that holds the value.
    Shapes: a and b (N, C, H, W); y (N, (2R + 1)², H', W') with
    H' = ⌈(H + 2·pad − 2·max_displacement − K + 1)/stride_1⌉.
    Source: Dosovitskiy et al. 2015, FlowNet; lmb-freiburg/flownet2, where it is for GPUs alone.
    """

    bottoms = (2, 2)
    backward_reads = ("bottom",)
    extension = "FlowNet 2's fork (lmb-freiburg), where correlation_param is 150"
    param: CorrelationParameter = param_of(CorrelationParameter)
    cases = (
        Case(
            f'type: "Correlation" {PARAM} {{ pad: 1 kernel_size: 1 max_displacement: 1 }}',
            {"a": [[[[2.0]], [[4.0]]]], "b": [[[[3.0]], [[5.0]]]]},
            {"y": [[[[0.0]]] * 4 + [[[13.0]]] + [[[0.0]]] * 4]},
        ),
        Case(
            f'type: "Correlation" {PARAM} {{ kernel_size: 1 max_displacement: 1 '
            "correlation_type: SUBTRACT }",
            {
                "a": [[[[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]]],
                "b": [[[[1.0, 2.0, 3.0], [4.0, 4.5, 6.0], [7.0, 8.0, 9.0]]]],
            },
            {
                "y": [
                    [[[4.0]], [[3.0]], [[2.0]], [[1.0]], [[0.5]], [[1.0]], [[2.0]], [[3.0]], [[4]]]
                ]
            },
            note="the patch in the middle, all nine shifts",
        ),
        Case(
            f'type: "Correlation" {PARAM} {{ pad: 3 kernel_size: 3 max_displacement: 2 '
            "stride_1: 2 stride_2: 2 }",
            {"a": random(2, 2, 4, 5), "b": random(2, 2, 4, 5)},
        ),
        Case(
            f'type: "Correlation" {PARAM} {{ pad: 2 kernel_size: 1 max_displacement: 1 '
            "correlation_type: SUBTRACT }",
            {"a": random(1, 2, 3, 3), "b": random(1, 2, 3, 3, low=1.0, high=2.0)},
            gradient=False,  # pads are alike, where |a − b| has its kink
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        for name in ("kernel_size", "max_displacement"):
            self.need(PARAM, name, expected=f"{PARAM} {{ kernel_size: 1 max_displacement: 4 }}")
        if p.kernel_size % 2 == 0:
            self.fail(
                f"a patch of {p.kernel_size} has no middle", PARAM, "kernel_size", expected="odd"
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.same_shapes(bottom)
        p, shape = self.param, bottom[0]
        if len(shape) != 4:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x H x W")
        border = 2 * p.max_displacement + p.kernel_size - 1
        height, width = (-(-(n + 2 * p.pad - border) // p.stride_1) for n in shape[2:])
        if min(height, width) < 1:
            self.fail(
                f"the top would be {height} x {width}: patches and shifts take {border} of "
                f"{shape[2]} x {shape[3]} with a pad of {p.pad}",
                PARAM,
                "max_displacement",
                hint=f"a pad of {border // 2} keeps the size",
            )
        self._reach = p.max_displacement // p.stride_2
        return [(shape[0], (2 * self._reach + 1) ** 2, height, width)]

    def prepare(self) -> None:
        n, c, height, width = self.bottom_shapes[0]
        p = self.param
        big = (n, c, height + 2 * p.pad, width + 2 * p.pad)
        self._inside = (..., slice(p.pad, p.pad + height), slice(p.pad, p.pad + width))
        self._a, self._b = np.zeros(big, self.dtype), np.zeros(big, self.dtype)
        self._da, self._db = np.empty_like(self._a), np.empty_like(self._b)
        self._share = self.dtype.type(1 / max(1, p.kernel_size**2 * c))

    def _places(self) -> Iterator[tuple[int, Any, Any]]:
        """(channel of the top, where in a, where in b) for all shifts and places of a patch."""
        p, (height, width) = self.param, self.top_shapes[0][2:]
        shifts = [r * p.stride_2 for r in range(-self._reach, self._reach + 1)]

        def part(row: int, column: int) -> tuple[Any, ...]:
            axes = ((row, height), (column, width))
            return (..., *(slice(s, s + (n - 1) * p.stride_1 + 1, p.stride_1) for s, n in axes))

        for channel, (down, right) in enumerate(product(shifts, shifts)):
            for i, j in product(range(p.kernel_size), repeat=2):
                row, column = i + p.max_displacement, j + p.max_displacement
                yield channel, part(row, column), part(row + down, column + right)

    def _load(self, bottom: Arrays) -> tuple[Array, Array]:
        self._a[self._inside], self._b[self._inside] = bottom[0], bottom[1]
        return self._a, self._b

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b = self._load(bottom)
        y = top[0]
        y.fill(0)
        multiplies = self.param.correlation_type == CorrelationType.MULTIPLY
        for channel, here, there in self._places():
            if multiplies:
                y[:, channel] += np.einsum("nchw,nchw->nhw", a[here], b[there])
            else:
                y[:, channel] += np.abs(a[here] - b[there]).sum(axis=1)
        np.multiply(y, self._share, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        a, b = self._load(bottom)
        self._da.fill(0)
        self._db.fill(0)
        multiplies = self.param.correlation_type == CorrelationType.MULTIPLY
        for channel, here, there in self._places():
            dy = top_diff[0][:, channel, None] * self._share
            if multiplies:
                self._da[here] += dy * b[there]
                self._db[there] += dy * a[here]
            else:
                slope = np.where(a[here] >= b[there], dy, -dy)
                self._da[here] += slope
                self._db[there] -= slope
        for dx, big in zip(bottom_diff, (self._da, self._db)):
            if dx is not None:
                np.copyto(dx, big[self._inside])
