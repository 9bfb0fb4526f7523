"""BatchNorm with Caffe's three blobs: sums of statistics, and the factor to divide them by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, channels_last, takes

aten = torch.ops.aten


@takes("BatchNorm")
class BatchNorm(Op):
    """y = (x − μ)/√(v + eps).

    The backward pass has y, not x. The gradient at x is that of normalising y, whose mean is 0 and
    whose deviation is 1, divided by x's deviation: which `aten` takes as the factor γ."""

    channels_last = True

    def prepare(self) -> None:
        layer = self.layer
        self.stored: bool = layer.stored  # type: ignore[attr-defined]
        samples, self.channels, places = layer._view  # type: ignore[attr-defined]
        self.count = samples * places
        if not self.count * self.channels:
            raise Unsupported
        self.eps: float = layer.param.eps  # type: ignore[attr-defined]
        self.keep: float = layer.param.moving_average_fraction  # type: ignore[attr-defined]
        self.zeros, self.ones = self.numbers((self.channels,)), self.numbers((self.channels,), 1)
        self.inverse = self.numbers((self.channels,), 1)  # 1/√(v + eps)

    def seen(self, x: Tensor) -> Tensor:
        """x with its channels on axis 1."""
        return channels_last(x) if x.ndim > 1 else x.reshape(-1, 1)

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x = self.seen(bottom[0])
        mean, variance, factor = self.weights
        if self.stored:
            scale = torch.where(factor == 0, 0, 1 / factor)
            mu = mean * scale
            torch.rsqrt((variance * scale).add_(self.eps), out=self.inverse)
            shape = [1, -1, *[1] * (x.ndim - 2)]
            shift = (mu * self.inverse).neg_()
            y = torch.addcmul(shift.view(shape), x, self.inverse.view(shape))
        else:
            y, mu, inverse = aten.native_batch_norm(x, None, None, None, None, True, 0, self.eps)
            self.inverse = inverse
            v = inverse.pow(-2).sub_(self.eps)
            unbiased = self.count / (self.count - 1) if self.count > 1 else 1
            mean.mul_(self.keep).add_(mu)
            variance.mul_(self.keep).add_(v, alpha=unbiased)
            factor.mul_(self.keep).add_(1)
        return (y.reshape(self.shapes[1][0]),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None,)
        dy = self.seen(top_diff[0])
        if self.stored:
            dx = dy * self.inverse.view(1, -1, *[1] * (dy.ndim - 2))
        else:
            assert top[0] is not None
            dx = self.back(self.seen(top[0]), dy, self.inverse, [True, False, False])[0]
        return (dx.reshape(self.shapes[0][0]),)

    def back(self, y: Tensor, dy: Tensor, factor: Tensor, mask: list[bool]) -> Tensors:
        """∂L/∂x, and with the mask also Σ ∂L/∂y · y and Σ ∂L/∂y."""
        stats = (None, None, self.zeros, self.ones)
        found: Tensors = aten.native_batch_norm_backward(dy, y, factor, *stats, True, 0.0, mask)
        return found
