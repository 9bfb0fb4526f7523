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
FEW_CHANNELS = 4
"""From here down a filter sees so little at a place that the copy is worth it."""
CACHE = 1 << 22
"""Bytes that the columns of one go may take."""


class ColumnProduct:
    """∂L/∂W = ∂L/∂yᵀ · X, with X the columns of x.

    A single channel is copied tap by tap, (taps, places), in runs along the width;
    several are copied place by place, (places, taps, channels), in runs along the channels."""

    def __init__(
        self, batch: tuple[int, ...], out: tuple[int, ...], window: Window, dtype: torch.dtype
    ) -> None:
        self.window, self.batch, self.out = window, batch, out
        n, channels, *spatial = batch
        self.planar = channels == 1
        sizes = [size + 2 * p for size, p in zip(spatial, window.pad)]
        order = (n, channels, *sizes) if self.planar else (n, *sizes, channels)
        self.padded = torch.zeros(order if any(window.pad) else 0, dtype=dtype)
        self.taps = math.prod(window.kernel)
        self.places = math.prod(out[1:])
        size = self.places * self.taps * channels * dtype.itemsize
        self.count = max(1, min(n, CACHE // max(1, size)))
        self.memory = torch.empty(self.count * self.places * self.taps * channels, dtype=dtype)
        self.product = torch.empty(out[0], self.taps * channels, dtype=dtype)
        self.sums = torch.empty(out[0], dtype=dtype)
        self.ones = torch.ones(n * self.places, dtype=dtype)

    @classmethod
    def if_faster(
        cls, batch: tuple[int, ...], out: tuple[int, ...], window: Window, dtype: torch.dtype
    ) -> ColumnProduct | None:
        """Only where it was measured to be faster than `aten`."""
        channels, outputs, taps = batch[1], out[0], math.prod(window.kernel)
        many = outputs >= ENOUGH_OUTPUTS and (1 < taps <= SMALL_TAPS or channels <= FEW_CHANNELS)
        if not many and channels != 1:
            return None
        return cls(batch, out, window, dtype)

    def __call__(self, x: Tensor, dy: Tensor) -> Tensor:
        """∂L/∂W, from x and ∂L/∂y with their channels innermost."""
        n, channels = self.batch[:2]
        image, rows = self._image(x), self._rows(dy)
        for start in range(0, n, self.count):
            count = min(self.count, n - start)
            columns = self._columns(image, start, count)
            errors = rows[start * self.places : (start + count) * self.places].t()
            if start:
                self.product.addmm_(errors, columns)
            else:
                torch.mm(errors, columns, out=self.product)
        kernel = self.window.kernel
        if self.planar:
            return self.product.view(-1, channels, *kernel)
        return self.product.view(-1, *kernel, channels).permute(0, 3, 1, 2)

    def bias(self, dy: Tensor) -> Tensor:
        """∂L/∂b, as a product with ones."""
        return torch.mv(self._rows(dy).t(), self.ones, out=self.sums)

    def _rows(self, dy: Tensor) -> Tensor:
        """∂L/∂y as (images · places, outputs)."""
        return dy.permute(0, 2, 3, 1).reshape(-1, self.out[0])

    def _image(self, x: Tensor) -> Tensor:
        """x with its pads, in the order that the columns are copied from."""
        image = x if self.planar else x.permute(0, 2, 3, 1)
        if not any(self.window.pad):
            return image.contiguous()
        (ph, pw), (h, w) = self.window.pad, x.shape[2:]
        inner = (slice(ph, ph + h), slice(pw, pw + w))
        self.padded[(..., *inner) if self.planar else (slice(None), *inner)].copy_(image)
        return self.padded

    def _columns(self, image: Tensor, start: int, count: int) -> Tensor:
        """The columns of some images, as (images · places, taps · channels)."""
        channels, (height, width) = self.batch[1], self.out[1:]
        (kh, kw), (sh, sw), (dh, dw) = self.window.kernel, self.window.stride, self.window.dilation
        memory = self.memory[: count * self.places * self.taps * channels]
        first = start * image.stride(0)
        if self.planar:
            s0, s1, s2, s3 = image.stride()
            shape = (channels, kh, kw, count, height, width)
            strides = (s1, dh * s2, dw * s3, s0, sh * s2, sw * s3)
            memory.view(shape).copy_(image.as_strided(shape, strides, first))
            return memory.view(channels * self.taps, -1).t()
        s0, s1, s2, s3 = image.stride()
        shape = (count, height, width, kh, kw, channels)
        strides = (s0, sh * s1, sw * s2, dh * s1, dw * s2, s3)
        memory.view(shape).copy_(image.as_strided(shape, strides, first))
        return memory.view(-1, self.taps * channels)
