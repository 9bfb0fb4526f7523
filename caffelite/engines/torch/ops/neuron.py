"""Elementwise activations: a few kernels each, written into spare memory where possible."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, takes

aten = torch.ops.aten


class Neuron(Op):
    """One bottom, one top of its shape. A subclass gives `value` and `slope`."""

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        """y; `out` may be x."""
        raise NotImplementedError

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        """∂L/∂x from what the layer's backward pass reads; `out` may be dy."""
        raise NotImplementedError

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        return (self.value(bottom[0], spare[0]),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None,)
        return (self.back(bottom[0], top[0], top_diff[0], spare[0]),)


def given(x: Tensor | None) -> Tensor:
    """What the layer's `backward_reads` promises."""
    assert x is not None
    return x


@takes("ReLU")
class ReLU(Neuron):
    """max(x, 0) + s·min(x, 0)."""

    def prepare(self) -> None:
        self.slope: float = self.layer.slope  # type: ignore[attr-defined]

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        if self.slope:
            # aten's in-place form refuses a negative slope, so it is spelt out
            low = torch.clamp_max(x, 0).mul_(self.slope)
            high = torch.clamp_min(x, 0) if out is None else torch.clamp_min(x, 0, out=out)
            return high.add_(low)
        if out is None:
            return torch.relu(x)
        return x.relu_() if out is x else torch.clamp_min(x, 0, out=out)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        if self.slope:
            source = given(x if self.slope < 0 else y)
            return torch.where(source > 0, dy, dy * self.slope)
        if out is None:
            return torch.as_tensor(aten.threshold_backward(dy, given(y), 0))
        return torch.as_tensor(aten.threshold_backward.grad_input(dy, given(y), 0, grad_input=out))


@takes("ReLU6")
class ReLU6(Neuron):
    """min(max(x, 0), 6)."""

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return torch.clamp(x, 0, 6) if out is None else torch.clamp(x, 0, 6, out=out)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        return torch.as_tensor(aten.hardtanh_backward(dy, given(y), 0, 6))


@takes("PReLU")
class PReLU(Neuron):
    """A learned slope for each channel below zero."""

    def prepare(self) -> None:
        axes = len(self.shapes[0][0])
        self.shared: bool = self.layer.param.channel_shared  # type: ignore[attr-defined]
        self.slopes = self.weights[0].view([] if self.shared else [-1, *[1] * (axes - 2)])
        self.others = [i for i in range(axes) if i != 1 or self.shared]

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        below = torch.clamp_max(x, 0).mul_(self.slopes)
        high = torch.clamp_min(x, 0) if out is None else torch.clamp_min(x, 0, out=out)
        return high.add_(below)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        return torch.where(given(x) > 0, dy, dy * self.slopes)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if self.layer.learns[0]:
            below = torch.clamp_max(given(bottom[0]), 0).mul_(top_diff[0])
            self.learn(0, below.sum(self.others) if self.others else below)
        return super().backward(top, top_diff, bottom, needed, spare)


@takes("ELU")
class ELU(Neuron):
    """x where x > 0, α·(e^x − 1) elsewhere."""

    def prepare(self) -> None:
        self.alpha: float = self.layer.param.alpha  # type: ignore[attr-defined]

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        below = torch.clamp_max(x, 0).expm1_().mul_(self.alpha)
        high = torch.clamp_min(x, 0) if out is None else torch.clamp_min(x, 0, out=out)
        return high.add_(below)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        positive = given(x if self.alpha < 0 else y) > 0
        return torch.where(positive, dy, dy * (given(y) + self.alpha))


@takes("Sigmoid")
class Sigmoid(Neuron):
    """σ(x)."""

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return torch.sigmoid(x) if out is None else torch.sigmoid(x, out=out)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        return torch.as_tensor(aten.sigmoid_backward(dy, given(y)))


@takes("TanH")
class TanH(Neuron):
    """tanh(x)."""

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return torch.tanh(x) if out is None else torch.tanh(x, out=out)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        return torch.as_tensor(aten.tanh_backward(dy, given(y)))


@takes("AbsVal")
class AbsVal(Neuron):
    """|x|."""

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return torch.abs(x) if out is None else torch.abs(x, out=out)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        return torch.sign(given(x)).mul_(dy)


@takes("BNLL")
class BNLL(Neuron):
    """max(x, 0) + ln(1 + e^−|x|). (aten's softplus is x itself from a threshold on.)"""

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        rest = torch.abs(x).neg_().exp_().log1p_()
        return rest.add_(torch.clamp_min(x, 0))

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        return torch.sigmoid(given(x)).mul_(dy)


@takes("Exp")
class Exp(Neuron):
    """base^(shift + scale·x)."""

    def prepare(self) -> None:
        self.rate: float = self.layer._rate  # type: ignore[attr-defined]
        self.start: float = self.layer._start  # type: ignore[attr-defined]

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return torch.mul(x, self.rate).add_(self.start).exp_()

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        return torch.mul(dy, given(y)).mul_(self.rate)


@takes("Log")
class Log(Neuron):
    """log_base(shift + scale·x)."""

    def prepare(self) -> None:
        p = self.layer.param  # type: ignore[attr-defined]
        self.scale, self.shift = p.scale, p.shift
        self.log_base: float = self.layer._log_base  # type: ignore[attr-defined]

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return torch.mul(x, self.scale).add_(self.shift).log_().mul_(1 / self.log_base)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        inner = torch.mul(given(x), self.scale).add_(self.shift)
        return torch.div(dy, inner).mul_(self.scale / self.log_base)


@takes("Power")
class Power(Neuron):
    """(shift + scale·x)^power."""

    def prepare(self) -> None:
        p = self.layer.param  # type: ignore[attr-defined]
        self.power, self.scale, self.shift = p.power, p.scale, p.shift
        self.constant: float | None = None
        if self.layer._is_constant:  # type: ignore[attr-defined]
            self.constant = self.layer._constant  # type: ignore[attr-defined]

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        if self.constant is not None:
            return torch.full_like(x, self.constant) if out is None else out.fill_(self.constant)
        base = torch.mul(x, self.scale).add_(self.shift)
        return base if self.power == 1 else base.pow_(self.power)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        if self.constant is not None:
            return torch.zeros_like(dy)
        if self.power == 1:
            return torch.mul(dy, self.scale)
        base = torch.mul(given(x), self.scale).add_(self.shift)
        return base.pow_(self.power - 1).mul_(self.power * self.scale).mul_(dy)


@takes("Swish")
class Swish(Neuron):
    """x · σ(βx)."""

    def prepare(self) -> None:
        self.beta: float = self.layer.param.beta  # type: ignore[attr-defined]
        self.gate: Tensor | None = None

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        self.gate = torch.mul(x, self.beta).sigmoid_()
        return torch.mul(x, self.gate) if out is None else torch.mul(x, self.gate, out=out)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        gate = torch.zeros_like(dy) if self.gate is None else self.gate
        slope = torch.sub(1, gate).mul_(given(y)).mul_(self.beta).add_(gate)
        return slope.mul_(dy)


@takes("Clip")
class Clip(Neuron):
    """max(min, min(x, max))."""

    def prepare(self) -> None:
        p = self.layer.param  # type: ignore[attr-defined]
        self.low, self.high = p.min, p.max

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return torch.clamp(x, self.low, self.high)

    def back(self, x: Tensor | None, y: Tensor | None, dy: Tensor, out: Tensor | None) -> Tensor:
        source = given(x)
        return torch.mul(dy, (source >= self.low).logical_and_(source <= self.high))


@takes("Threshold")
class Threshold(Neuron):
    """1 where x > threshold."""

    def prepare(self) -> None:
        self.threshold: float = self.layer.param.threshold  # type: ignore[attr-defined]

    def value(self, x: Tensor, out: Tensor | None) -> Tensor:
        return (x > self.threshold).to(self.dtype)
