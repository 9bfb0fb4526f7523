"""SigmoidCrossEntropyLoss and EuclideanLoss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, takes
from caffelite.layers.labels import normalizer
from caffelite.schema.common import LossNormalization


@takes("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(Op):
    """Σ [ max(x, 0) − x·t + ln(1 + e^−|x|) ] / n."""

    def prepare(self) -> None:
        layer = self.layer
        self.mode = layer._mode  # type: ignore[attr-defined]
        self.fixed: float = layer.loss_param.pre_fixed_normalizer  # type: ignore[attr-defined]
        self.outer, self.inner = layer._outer, layer._inner  # type: ignore[attr-defined]
        if not self.outer * self.inner:
            raise Unsupported
        param = layer.loss_param  # type: ignore[attr-defined]
        self.ignore = param.ignore_label if param.has("ignore_label") else None
        self.valid: Tensor | None = None
        self.n: float | Tensor = 1.0

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x = bottom[0]
        t = bottom[1].reshape(x.shape)
        terms = torch.abs(x).neg_().exp_().log1p_().add_(torch.clamp_min(x, 0)).sub_(x * t)
        count: float | Tensor = self.outer * self.inner
        if self.ignore is not None:
            self.valid = t.to(torch.int64) != self.ignore
            terms.mul_(self.valid)
            count = torch.count_nonzero(self.valid)
        if self.mode == LossNormalization.VALID and isinstance(count, Tensor):
            self.n = torch.clamp_min(count, 1)
        else:
            self.n = normalizer(
                self.mode, self.outer, self.inner, self.outer * self.inner, self.fixed
            )
        return (terms.sum() / self.n,)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None, None)
        x, t = torch.as_tensor(bottom[0]), torch.as_tensor(bottom[1])
        dx = torch.sigmoid(x).sub_(t.reshape(x.shape)).mul_(top_diff[0] / self.n)
        if self.valid is not None:
            dx.mul_(self.valid)
        return (dx, None)


@takes("EuclideanLoss")
class EuclideanLoss(Op):
    """1/(2N) · Σ (a − b)²."""

    def prepare(self) -> None:
        self.n: int = self.layer._n  # type: ignore[attr-defined]
        self.difference = self.numbers(self.shapes[0][0])

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        a, b = bottom
        torch.sub(a, b.reshape(a.shape), out=self.difference)
        flat = self.difference.view(-1)
        return (torch.dot(flat, flat) / (2 * self.n),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        scale = top_diff[0] / self.n
        found: list[Tensor | None] = []
        for sign, need, shape in zip((1, -1), needed, self.shapes[0]):
            found.append((self.difference * (scale * sign)).view(shape) if need else None)
        return found
