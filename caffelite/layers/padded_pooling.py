"""PaddedPooling: pooling with pads that differ from side to side, or with means that leave them
out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.pooling import PARAM, PlanePool, Pooling, PoolMethod, RoundMode
from caffelite.layers.windows import check_fit, read_window, side_pads


@register
class PaddedPooling(Pooling):
    """As Pooling, MAX or AVE, with `pad_t` rows above, `pad_b` below, `pad_l` columns to the left
    and `pad_r` to the right; or the mean of what lies in the image alone (`pool: AVE_EXC_PAD`), 0
    where nothing does. A layer of type "Pooling" with such fields is this one, unless opposite
    sides are equal and the method is Pooling's own.

    Gradient: as Pooling's; AVE_EXC_PAD passes an equal part to each value of the image.
    Shapes: x (N, C, H, W), y (N, C, H', W') with H' = ⌈(H + pad_t + pad_b − kernel)/stride⌉ + 1, or
    rounded down; with a pad a last window that would start below the image is left out.
    Source: Synopsys Caffe (foss-for-synopsys-dwc-arc-processors).
    """

    tops = (1, 1)
    backward_reads = ()
    extension = 'Synopsys Caffe; type "Pooling" there'
    pads_itself = True
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "PaddedPooling" pooling_param { pool: AVE_EXC_PAD kernel_size: 2 stride: 1 '
            "pad_r: 1 }",
            {"x": [[[[1.0, 2.0], [3.0, 6.0]]]]},
            {"y": [[[[3.0, 4.0]]]]},
        ),
        Case(
            'type: "PaddedPooling" pooling_param { pool: MAX kernel_size: 2 stride: 2 pad_l: 1 '
            "pad_t: 1 }",
            {"x": [[[[-1.0, -2.0, -5.0], [-3.0, -6.0, -4.0]]]]},
            {"y": [[[[-1.0, -2.0], [-3.0, -4.0]]]]},
        ),
        Case(
            'type: "PaddedPooling" pooling_param { pool: AVE kernel_size: 2 stride: 1 pad_r: 1 }',
            {"x": [[[[1.0, 2.0], [3.0, 6.0]]]]},
            {"y": [[[[3.0, 2.0]]]]},
        ),
        Case(
            'type: "PaddedPooling" pooling_param { pool: AVE_EXC_PAD kernel_size: 3 stride: 2 '
            "pad: 1 }",
            {"x": random(2, 3, 5, 4)},
        ),
        Case(
            'type: "PaddedPooling" pooling_param { kernel_size: 3 stride: 2 pad_b: 1 pad_l: 1 }',
            {"x": random(2, 3, 5, 4)},
        ),
        Case(
            'type: "PaddedPooling" pooling_param { pool: AVE kernel_size: 3 pad_b: 2 pad_l: 1 '
            "ceil_mode: false }",
            {"x": random(2, 3, 5, 4)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.global_pooling or p.pool == PoolMethod.STOCHASTIC:
            self.fail("pads of sides go with MAX and AVE alone", PARAM, "pool")
        self.ceil = p.ceil_mode and p.round_mode == RoundMode.CEIL
        window = read_window(self, PARAM, 2)
        sides = side_pads(self, PARAM)
        height, width = window.pad
        self._pads = sides if sides is not None else (height, height, width, width)
        self.window = type(window)(window.kernel, window.stride, (0, 0), window.dilation)
        for pads, kernel in zip((self._pads[:2], self._pads[2:]), window.kernel):
            if min(pads) < 0 or max(pads) >= kernel:
                self.fail(
                    f"pads of {pads[0]} and {pads[1]} do not go with a kernel of {kernel}",
                    PARAM,
                    "pad_t" if p.has("pad_t") else "pad_l",
                    expected=f"pads from 0 to {kernel - 1}",
                )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        if len(shape) != 4:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x H x W")
        top, below, left, right = self._pads
        self._plane = (shape[2] + top + below, shape[3] + left + right)
        counts = list(self.kernels.pool_output_shape(self._plane, self.window, self.ceil))
        if any(self._pads):
            for axis, before in enumerate((top, left)):
                start = (counts[axis] - 1) * self.window.stride[axis]
                counts[axis] -= start >= shape[2 + axis] + before
        check_fit(self, PARAM, self.window, self._plane, tuple(counts))
        return [(*shape[:2], *counts)]

    def prepare(self) -> None:
        shape, out = self.bottom_shapes[0], self.top_shapes[0]
        top, _, left, _ = self._pads
        mean = self.param.pool != PoolMethod.MAX
        # what a pad holds never is a maximum
        empty = 0.0 if mean else float(np.finfo(self.dtype).min)
        self._big = np.full((*shape[:2], *self._plane), empty, self.dtype)
        self._big_diff = np.empty_like(self._big)
        self._inside = (..., slice(top, top + shape[2]), slice(left, left + shape[3]))
        method = PoolMethod.AVE if mean else PoolMethod.MAX
        self._pool = PlanePool(self, method, self.window, self._plane, out)
        self._share: np.ndarray | None = None
        if self.param.pool == PoolMethod.AVE_EXC_PAD:
            ones = np.zeros((1, 1, *self._plane), self.dtype)
            ones[self._inside] = 1
            share = np.empty((1, 1, *out[2:]), self.dtype)
            self.kernels.ave_pool_forward(ones, share, self.window)
            self._share = np.where(share > 0, share, 1).astype(self.dtype)
            self._scaled = np.empty(out, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        self._big[self._inside] = bottom[0]
        self._pool.forward(self._big, top[0])
        if self._share is not None:
            np.divide(top[0], self._share, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        dy = top_diff[0]
        if self._share is not None:
            dy = np.divide(dy, self._share, self._scaled)
        self._pool.backward(self._big, dy, self._big_diff)
        np.copyto(bottom_diff[0], self._big_diff[self._inside])
