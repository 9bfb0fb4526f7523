"""Pooling: MAX and AVE with Caffe's rounding, and averages over the padded window."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.blob import Shape
from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, channels_last, takes
from caffelite.kernels import Window
from caffelite.layers.pooling import PoolMethod

aten = torch.ops.aten


@takes("Pooling")
class Pooling(Op):
    """`aten` rounds as Caffe does, and divides an average by the window with its pads but without
    what hangs over the lower and right edge. STOCHASTIC is left to NumPy."""

    channels_last = True

    def prepare(self) -> None:
        layer = self.layer
        window, pool = layer.window, layer.param.pool  # type: ignore[attr-defined]
        (n, c, *spatial), out = layer.bottom_shapes[0], layer.top_shapes[0]
        if pool == PoolMethod.STOCHASTIC or not n * c:
            raise Unsupported
        self.mean = pool == PoolMethod.AVE
        kernel, stride, pad = list(window.kernel), list(window.stride), list(window.pad)
        if any(p > k // 2 for p, k in zip(pad, kernel)):
            raise Unsupported  # aten's limit
        ceil = next(
            (c for c in (True, False) if rounds_alike(tuple(spatial), window, out[2:], c)), None
        )
        if ceil is None:
            raise Unsupported
        self.whole = window.kernel == tuple(spatial) and not any(pad) and out[2:] == (1, 1)
        rest = (ceil, True, None) if self.mean else ([1, 1], ceil)
        self.setting = (kernel, stride, pad, *rest)
        self.indices: Tensor | None = None
        self.blank: Tensor | None = None

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x = channels_last(bottom[0])
        if self.mean:
            if self.whole:
                return (torch.mean(x, (2, 3), keepdim=True),)
            return (aten.avg_pool2d(x, *self.setting),)
        y, found = spare[0], self.indices
        if y is None or found is None or not y.is_contiguous(memory_format=torch.channels_last):
            y, found = aten.max_pool2d_with_indices(x, *self.setting)
            self.indices = found
        else:  # the same memory in each pass
            aten.max_pool2d_with_indices.out(x, *self.setting, out=y, indices=found)
        if len(self.shapes[1]) > 1:
            return (y, found.to(self.dtype))
        return (y,)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None,)
        dy = channels_last(top_diff[0])
        shape = self.shapes[0][0]
        if self.mean and self.whole:
            return ((dy / math.prod(shape[2:])).expand(shape).contiguous(),)
        if self.blank is None:  # stands for x, of which only the shape is used
            memory = torch.channels_last
            self.blank = torch.empty(
                shape, dtype=self.dtype, device=self.device, memory_format=memory
            )
        if self.mean:
            return (aten.avg_pool2d_backward(dy, self.blank, *self.setting),)
        if self.indices is None:
            self.indices = torch.zeros_like(dy, dtype=torch.int64)
        run, given = aten.max_pool2d_with_indices_backward, (dy, self.blank, *self.setting)
        dx = spare[0]
        if dx is None or not dx.is_contiguous(memory_format=torch.channels_last):
            return (run(*given, self.indices),)
        return (run.grad_input(*given, self.indices, grad_input=dx),)


def rounds_alike(spatial: Shape, window: Window, out: Shape, ceil: bool) -> bool:
    """Does `aten` give this pooled shape?"""
    sizes = zip(spatial, out, window.kernel, window.stride, window.pad)
    for size, count, kernel, stride, pad in sizes:
        free = size + 2 * pad - kernel
        rounded = (-(-free // stride) if ceil else free // stride) + 1
        if ceil and (rounded - 1) * stride >= size + pad:
            rounded -= 1
        if rounded != count:
            return False
    return True
