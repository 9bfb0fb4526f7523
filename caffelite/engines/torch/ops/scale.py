"""Scale and Bias: a smaller operand repeated along the other axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, takes


class Spreading(Op):
    """What Scale and Bias share: how the small operand lies on x."""

    def align(self, name: str) -> None:
        alignment = getattr(self.layer, name)
        self.small = alignment._view
        self.others = list(alignment._others)

    def spread(self, values: Tensor) -> Tensor:
        return values.reshape(self.small)

    def gather(self, x: Tensor) -> Tensor:
        """Summed over the axes that the small operand lacks."""
        return x.sum(self.others) if self.others else x


@takes("Scale")
class Scale(Spreading):
    """y = s·x (+ b)."""

    def prepare(self) -> None:
        self.align("_scale")
        self.learned = len(self.shapes[0]) == 1
        self.bias = self.weights[-1] if self.layer.param.bias_term else None  # type: ignore[attr-defined]

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x, out = bottom[0], spare[0]
        s = self.spread(self.weights[0] if self.learned else bottom[1])
        if self.bias is None:
            return (torch.mul(x, s) if out is None else torch.mul(x, s, out=out),)
        b = self.spread(self.bias)
        return (torch.addcmul(b, x, s) if out is None else torch.addcmul(b, x, s, out=out),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        (x, *rest), (dy,), learns = bottom, top_diff, self.layer.learns
        assert x is not None
        if self.bias is not None and learns[-1]:
            self.learn(len(learns) - 1, self.gather(dy))
        ds = None
        if self.learned and learns[0]:
            self.learn(0, self.gather(dy * x))
        elif not self.learned and needed[1]:
            ds = self.gather(dy * x).reshape(self.shapes[0][1])
        dx = None
        if needed[0]:
            s = self.spread(self.weights[0] if self.learned else torch.as_tensor(rest[0]))
            out = spare[0]
            dx = torch.mul(dy, s) if out is None else torch.mul(dy, s, out=out)
        return (dx,) if self.learned else (dx, ds)


@takes("Bias")
class Bias(Spreading):
    """y = x + b."""

    views = True  # the gradient of x is the top's own

    def prepare(self) -> None:
        self.align("_bias")
        self.learned = len(self.shapes[0]) == 1

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x, out = bottom[0], spare[0]
        b = self.spread(self.weights[0] if self.learned else bottom[1])
        return (torch.add(x, b) if out is None else torch.add(x, b, out=out),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        dy = top_diff[0]
        dx = dy if needed[0] else None
        if self.learned:
            if self.layer.learns[0]:
                self.learn(0, self.gather(dy))
            return (dx,)
        return dx, self.gather(dy).reshape(self.shapes[0][1]) if needed[1] else None
