"""PoolingND: the maximum over windows of any number of axes, whose values may lie apart."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.pooling import PARAM, PoolingParameter, PoolMethod, RoundMode
from caffelite.layers.windows import check_fit, read_window
from caffelite.schema.net import LayerParameter


@register
class PoolingND(Layer):
    """y = the maximum of each window over all axes behind the channels, one or more. `kernel_size`,
    `stride`, `pad` and `dilation` are given once, or once for each of these axes; the values of a
    window lie `dilation` apart. A layer of type "Pooling" is this one where it gives one of them
    three times or more, or a dilation (other than of 1 in a mean). What a pad holds is never taken.

    Gradient: ∂L/∂y goes to the value that was taken, of equal ones to the first.
    Shapes: x (N, C, D₁, …), y (N, C, D₁', …) with D' = ⌈(D + 2·pad − span)/stride⌉ + 1, where
    span = dilation·(kernel − 1) + 1; rounded down with `round_mode: FLOOR`. Along an axis with a
    pad a last window that would start beyond the image is left out.
    Source: Tschopp 2015, Efficient Convolutional Neural Networks for Pixelwise Classification on
    Heterogeneous Hardware Systems; naibaf7/caffe, where it is of type "Pooling".
    """

    methods: ClassVar[tuple[PoolMethod, ...]] = (PoolMethod.MAX,)
    takes_whole: ClassVar[bool] = False
    """Does it take global_pooling?"""
    bottoms = (1, 1)
    backward_reads = ()
    extension = 'naibaf7/caffe; type "Pooling" there'
    param: PoolingParameter = param_of(PoolingParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "PoolingND" pooling_param { kernel_size: 2 dilation: 2 }',
            {"x": [[[1.0, 5.0, 3.0, 2.0, 4.0]]]},
            {"y": [[[3.0, 5.0, 4.0]]]},
            note="values that lie two apart",
        ),
        Case(
            'type: "PoolingND" pooling_param { kernel_size: 1 kernel_size: 2 kernel_size: 2 '
            "stride: 1 stride: 2 stride: 2 }",
            {"x": [[[[[1.0, 2.0, 7.0], [4.0, 3.0, 0.0]], [[-1.0, -2.0, -3.0], [-4, -5, -6]]]]]},
            {"y": [[[[[4.0, 7.0]], [[-1.0, -3.0]]]]]},
        ),
        Case(
            'type: "PoolingND" pooling_param { kernel_size: 2 stride: 2 pad: 1 dilation: 2 }',
            {"x": [[[[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0], [-7.0, -8.0, -9.0]]]]},
            {"y": [[[[-5.0, -5.0], [-5.0, -5.0]]]]},
        ),
        Case(
            'type: "PoolingND" pooling_param { kernel_size: 3 kernel_size: 2 stride: 2 pad: 1 '
            "pad: 0 dilation: 1 dilation: 2 round_mode: FLOOR }",
            {"x": random(2, 3, 6, 7)},
        ),
        Case(
            'type: "PoolingND" pooling_param { kernel_size: 2 stride: 2 dilation: 1 }',
            {"x": random(2, 2, 3, 4, 5)},
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return cls

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        if p.pool not in self.methods:
            names = " or ".join(method.name for method in self.methods)
            self.fail(
                f"{p.pool.name} is not for windows of these kinds", PARAM, "pool", expected=names
            )
        if p.global_pooling and not self.takes_whole:
            self.fail("global_pooling has no window", PARAM, "global_pooling")
        ceil = p.round_mode == RoundMode.CEIL
        if p.has("round_mode") and p.has("ceil_mode") and p.ceil_mode != ceil:
            self.fail("round_mode and ceil_mode contradict each other", PARAM, "ceil_mode")
        self._ceil = p.ceil_mode and ceil
        if len(shape) < 3:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x D1 x …")
        whole = shape[2:] if p.global_pooling else None
        self.window = window = read_window(self, PARAM, len(shape) - 2, whole)
        for kernel, pad in zip(window.kernel, window.pad):
            if pad >= kernel:
                message = f"a pad of {pad} is not below the kernel of {kernel}"
                self.fail(message, PARAM, "pad" if p.has("pad") else "pad_h")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape, window = bottom[0], self.window
        spatial, counts = shape[2:], []
        for axis, size in enumerate(spatial):
            stride, pad = window.stride[axis], window.pad[axis]
            free = size + 2 * pad - window.span[axis]
            count = (-(-free // stride) if self._ceil else free // stride) + 1
            beyond = (count - 1) * stride >= size + pad
            if beyond and pad:
                count -= 1
            elif beyond and count > 0:
                self.fail(
                    f"the last window would start at {(count - 1) * stride}, outside of {size}",
                    PARAM,
                    "stride" if self.param.has("stride") else "stride_h",
                    hint="round_mode: FLOOR leaves that window out",
                )
            counts.append(count)
        check_fit(self, PARAM, window, spatial, tuple(counts))
        return [(*shape[:2], *counts)]

    def prepare(self) -> None:
        shape, out, window = self.bottom_shapes[0], self.top_shapes[0], self.window
        axes = list(zip(shape[2:], out[2:], window.stride, window.pad, window.span))
        self.hang = over = [max(0, (o - 1) * s + span - pad - n) for n, o, s, pad, span in axes]
        plane = [pad + n + more for (n, _, _, pad, _), more in zip(axes, over)]
        self._inside: tuple[Any, ...] = (..., *(slice(pad, pad + n) for n, _, _, pad, _ in axes))
        self._taps: list[tuple[Any, ...]] = []
        for tap in product(*map(range, window.kernel)):
            starts = [t * step for t, step in zip(tap, window.dilation)]
            ends = [start + (o - 1) * s + 1 for start, (_, o, s, _, _) in zip(starts, axes)]
            self._taps.append((..., *map(slice, starts, ends, window.stride)))
        # what a pad holds never is a maximum
        self._big = np.full((*shape[:2], *plane), np.finfo(self.dtype).min, self.dtype)
        self._big_diff = np.empty_like(self._big)
        self._winner = np.empty(out, np.int32)
        self._here = np.empty(out, bool)
        self._share = np.empty(out, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        y = top[0]
        self._big[self._inside] = bottom[0]
        np.copyto(y, self._big[self._taps[0]])
        self._winner.fill(0)
        for number, tap in enumerate(self._taps[1:], 1):
            values = self._big[tap]
            np.greater(values, y, out=self._here)
            np.maximum(values, y, out=y)
            np.copyto(self._winner, number, where=self._here)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        self._big_diff.fill(0)
        for number, tap in enumerate(self._taps):
            np.equal(self._winner, number, out=self._here)
            np.multiply(top_diff[0], self._here, out=self._share)
            self._big_diff[tap] += self._share
        np.copyto(bottom_diff[0], self._big_diff[self._inside])
