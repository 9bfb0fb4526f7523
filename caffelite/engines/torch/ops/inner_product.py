"""InnerProduct: matrix products straight into the gradients' memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, takes


@takes("InnerProduct")
class InnerProduct(Op):
    """y = x·Wᵀ + b. A bottom whose channels are innermost is put in order first: W's columns
    follow Caffe's order."""

    def prepare(self) -> None:
        layer = self.layer
        self.rows, self.outputs = layer.matrices  # type: ignore[attr-defined]
        self.transposed: bool = layer.transposed  # type: ignore[attr-defined]
        self.weight = self.weights[0] if self.transposed else self.weights[0].t()
        self.bias = self.weights[1] if layer.param.bias_term else None  # type: ignore[attr-defined]
        self.ones = self.numbers(self.rows[:1], 1)

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x = bottom[0].reshape(self.rows)
        y = spare[0]
        into = y.view(self.outputs) if y is not None and y.is_contiguous() else None
        if self.bias is None:
            found = torch.mm(x, self.weight) if into is None else torch.mm(x, self.weight, out=into)
        elif into is None:
            found = torch.addmm(self.bias, x, self.weight)
        else:
            found = torch.addmm(self.bias, x, self.weight, out=into)
        return (found.view(self.shapes[1][0]),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        dy, learns = top_diff[0].reshape(self.outputs), self.layer.learns
        if learns[0]:
            assert bottom[0] is not None
            x = bottom[0].reshape(self.rows)
            if self.transposed:
                self.learn_product(0, x.t(), dy)
            else:
                self.learn_product(0, dy.t(), x)
        if self.bias is not None and learns[1]:
            into = self.grad(1)
            if self.fresh:
                torch.mv(dy.t(), self.ones, out=into)
            else:
                into.addmv_(dy.t(), self.ones)
        if not needed[0]:
            return (None,)
        dx = spare[0]
        if dx is not None and dx.is_contiguous():
            torch.mm(dy, self.weight.t(), out=dx.view(self.rows))
            return (dx,)
        return (torch.mm(dy, self.weight.t()).view(self.shapes[0][0]),)
