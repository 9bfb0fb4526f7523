"""The gradient of a convolution's filters as a matrix product with the columns of its input.

`aten.convolution_backward` reaches half the speed of its own forward pass when it computes ∂L/∂W on
the CPU. With many outputs it is faster to write out the columns, image by image so that they stay
in the cache, and to leave the product to BLAS.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from caffelite.kernels import Window

ENOUGH_OUTPUTS = 64
"""From here on each copied value takes part in so many products that the copy does not matter."""
SMALL_TAPS = 9
CACHE = 1 << 22
"""Bytes that the columns of one go may take."""


class ColumnProduct:
    """∂L/∂W = ∂L/∂yᵀ · X, with X the columns (places, taps, channels) of x."""

    def __init__(
        self, batch: tuple[int, ...], out: tuple[int, ...], window: Window, dtype: torch.dtype
    ) -> None:
        self.window, self.batch, self.out = window, batch, out
        n, channels, *spatial = batch
        pad = window.pad
        self.padded = torch.zeros(
            0 if not any(pad) else n,
            *(size + 2 * p for size, p in zip(spatial, pad)),
            channels,
            dtype=dtype,
        )
        taps = math.prod(window.kernel)
        places = math.prod(out[1:])
        size = places * taps * channels * dtype.itemsize
        self.count = max(1, min(n, CACHE // max(1, size)))
        self.columns = torch.empty(self.count * places, taps * channels, dtype=dtype)
        self.product = torch.empty(out[0], taps * channels, dtype=dtype)
        self.sums = torch.empty(out[0], dtype=dtype)

    @classmethod
    def if_faster(
        cls, batch: tuple[int, ...], out: tuple[int, ...], window: Window, dtype: torch.dtype
    ) -> ColumnProduct | None:
        """Only where it was measured to be faster than `aten`."""
        channels, outputs, taps = batch[1], out[0], math.prod(window.kernel)
        many = outputs >= ENOUGH_OUTPUTS and (1 < taps <= SMALL_TAPS or channels <= 4)
        if not many and channels != 1:
            return None
        return cls(batch, out, window, dtype)

    def __call__(self, x: Tensor, dy: Tensor) -> Tensor:
        """∂L/∂W, from x and ∂L/∂y with their channels innermost."""
        n, channels = self.batch[:2]
        (kh, kw), (sh, sw), (dh, dw) = self.window.kernel, self.window.stride, self.window.dilation
        height, width = self.out[1:]
        image = x.permute(0, 2, 3, 1)
        if any(self.window.pad):
            (ph, pw), (h, w) = self.window.pad, x.shape[2:]
            self.padded[:, ph : ph + h, pw : pw + w].copy_(image)
            image = self.padded
        else:
            image = image.contiguous()
        s0, s1, s2 = image.stride()[:3]
        shape = (self.count, height, width, kh, kw, channels)
        strides = (s0, sh * s1, sw * s2, dh * s1, dw * s2, 1)
        rows = dy.permute(0, 2, 3, 1).reshape(n, height * width, -1)
        for start in range(0, n, self.count):
            count = min(self.count, n - start)
            columns = self.columns[: count * height * width]
            view = image.as_strided((count, *shape[1:]), strides, start * s0)
            columns.view(count, *shape[1:]).copy_(view)
            errors = rows[start : start + count].reshape(count * height * width, -1).t()
            if start:
                self.product.addmm_(errors, columns)
            else:
                torch.mm(errors, columns, out=self.product)
        return self.product.view(-1, kh, kw, channels).permute(0, 3, 1, 2)

    def bias(self, dy: Tensor) -> Tensor:
        """∂L/∂b."""
        return torch.sum(dy, (0, 2, 3), out=self.sums)
