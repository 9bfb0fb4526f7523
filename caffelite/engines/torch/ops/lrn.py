"""LRN: across channels a product with a band matrix, within channels an average pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, channels_last, takes

aten = torch.ops.aten


def inverse_power(s: Tensor, beta: float) -> Tensor:
    """s^−β; for β = ¾, the usual one, by roots, which are much faster."""
    if beta != 0.75:
        return torch.pow(s, -beta)
    root = torch.rsqrt(s)
    return torch.sqrt(root).mul_(root)


@takes("LRN")
class LRN(Op):
    """y = x · s^−β. With the channels innermost the sums over neighbouring channels are a matrix
    product with ones in a band."""

    channels_last = True

    def prepare(self) -> None:
        layer = self.layer
        p = layer.param  # type: ignore[attr-defined]
        n, self.channels, height, width = layer.bottom_shapes[0]
        self.size, self.alpha, self.beta, self.k = p.local_size, p.alpha, p.beta, p.k
        self.within: bool = layer.within  # type: ignore[attr-defined]
        if not n * self.channels * height * width:
            raise Unsupported
        side = self.size // 2
        self.window = ([self.size] * 2, [1, 1], [side] * 2)
        if self.within and 2 * side >= 2 * min(height, width) + self.size:
            raise Unsupported
        at = torch.arange(self.channels, device=self.device)
        self.band = ((at[:, None] - at).abs() <= side).to(self.dtype)
        self.constant = self.numbers((1,), self.k)
        self.scale: Tensor | None = None
        self.power: Tensor | None = None

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x = channels_last(bottom[0])
        if self.within:
            mean = aten.avg_pool2d(x * x, *self.window, True, True, None)
            self.scale = mean.mul_(self.alpha).add_(1)
        else:
            rows = x.permute(0, 2, 3, 1).reshape(-1, self.channels)
            square = rows * rows
            scale = torch.addmm(self.constant, square, self.band, alpha=self.alpha / self.size)
            n, _, height, width = x.shape
            self.scale = scale.view(n, height, width, -1).permute(0, 3, 1, 2)
        self.power = inverse_power(self.scale, self.beta)
        return (x * self.power,)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None,)
        assert bottom[0] is not None
        x, dy = channels_last(bottom[0]), channels_last(top_diff[0])
        if self.scale is None or self.power is None:
            self.forward((x,), (None,))
        assert self.scale is not None and self.power is not None
        direct = dy * self.power
        ratio = (direct * x).div_(self.scale)  # ∂L/∂y · y / s
        if self.within:
            summed = aten.avg_pool2d_backward(ratio, x, *self.window, True, True, None)
            factor = -2 * self.alpha * self.beta
        else:
            rows = ratio.permute(0, 2, 3, 1).reshape(-1, self.channels)
            n, _, height, width = x.shape
            summed = torch.mm(rows, self.band).view(n, height, width, -1).permute(0, 3, 1, 2)
            factor = -2 * self.alpha * self.beta / self.size
        return (direct.addcmul_(x, summed, value=factor),)
