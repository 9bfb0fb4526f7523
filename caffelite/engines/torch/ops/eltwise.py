"""Eltwise: sums with coefficients, products, maxima."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, takes
from caffelite.layers.eltwise import EltwiseOp


@takes("Eltwise")
class Eltwise(Op):
    """SUM, PROD and MAX of several bottoms of one shape."""

    views = True  # the gradient of a sum is the top's own

    def prepare(self) -> None:
        layer = self.layer
        self.kind = layer._op  # type: ignore[attr-defined]
        self.coeff: list[float] = layer._coeff  # type: ignore[attr-defined]
        self.stable: bool = layer.param.stable_prod_grad  # type: ignore[attr-defined]
        self.order = [1, 0, *range(2, len(layer.bottom_shapes))]  # Caffe's, seen in ties
        self.winner: Tensor | None = None
        self.plain_pair = self.kind == EltwiseOp.SUM and list(self.coeff) == [1, 1]
        """Is it a + b?"""

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        if self.kind == EltwiseOp.PROD:
            y = torch.mul(bottom[0], bottom[1])
            for x in bottom[2:]:
                y.mul_(x)
        elif self.kind == EltwiseOp.SUM:
            first = bottom[0] if self.coeff[0] == 1 else bottom[0] * self.coeff[0]
            y = torch.add(first, bottom[1], alpha=self.coeff[1])
            for x, c in zip(bottom[2:], self.coeff[2:]):
                y.add_(x, alpha=c)
        else:
            y = bottom[self.order[0]]
            self.winner = torch.zeros_like(y, dtype=torch.int16)
            for place, i in enumerate(self.order[1:], start=1):
                self.winner.masked_fill_(bottom[i] > y, place)
                y = torch.maximum(bottom[i], y)
        return (y,)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        dy = top_diff[0]
        return [self.gradient(i, top[0], dy, bottom) if n else None for i, n in enumerate(needed)]

    def gradient(self, i: int, y: Tensor | None, dy: Tensor, bottom: Given) -> Tensor:
        """∂L/∂x_i."""
        if self.kind == EltwiseOp.SUM:
            return dy if self.coeff[i] == 1 else dy * self.coeff[i]
        if self.kind == EltwiseOp.MAX:
            winner = torch.zeros_like(dy) if self.winner is None else self.winner
            return dy * (winner == self.order.index(i))
        if self.stable:
            others = [x for j, x in enumerate(bottom) if j != i and x is not None]
            dx = dy * others[0]
            for x in others[1:]:
                dx.mul_(x)
            return dx
        assert y is not None
        return torch.div(y, torch.as_tensor(bottom[i])).mul_(dy)
