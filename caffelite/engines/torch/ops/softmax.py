"""Softmax, and SoftmaxWithLoss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, takes
from caffelite.layers.labels import LabelReader, normalizer
from caffelite.layers.softmax_loss import FLT_MIN
from caffelite.schema.common import LossNormalization

aten = torch.ops.aten


@takes("Softmax")
class Softmax(Op):
    """exp(x_c) / Σ exp(x_k) along an axis."""

    def prepare(self) -> None:
        self.axis: int = self.layer._axis  # type: ignore[attr-defined]

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        return (torch.softmax(bottom[0], self.axis),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None,)
        return (aten._softmax_backward_data(top_diff[0], top[0], self.axis, self.dtype),)


class Labels:
    """Labels as flat indices of scores. On the CPU the layer's own reader reads and checks them; on
    a device they are checked once someone reads the result."""

    def __init__(self, reader: LabelReader, op: Op) -> None:
        self.reader, self.op = reader, op
        self.seen = op.numbers(reader.shape)
        """On a device: the labels of the last pass, or of the first with one that is no class."""
        self.wrong = torch.zeros((), dtype=torch.bool, device=op.device)
        base = torch.arange(reader.outer * reader.inner, device=op.device)
        outer = torch.div(base, max(1, reader.inner), rounding_mode="floor")
        self.base = outer * (reader.classes * reader.inner) + base % max(1, reader.inner)

    def read(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The classes, their flat indices, and where labels count (None: everywhere)."""
        reader = self.reader
        if self.op.on_cpu:
            index = torch.from_numpy(reader.read(labels.contiguous().numpy()))
            valid = None if reader.valid is None else torch.from_numpy(reader.valid)
            return torch.from_numpy(reader.labels), index, valid
        classes, valid = labels.reshape(-1).to(torch.int64), None
        if reader.ignore is not None:
            valid = classes != reader.ignore
        self.note(labels.reshape(reader.shape), valid)
        # a label out of range is refused by `check`; until then it must not read elsewhere
        classes = torch.clamp(classes, 0, reader.classes - 1)
        return classes, self.base + classes * reader.inner, valid

    def note(self, labels: Tensor, valid: Tensor | None) -> None:
        """Remember labels that are no classes until someone looks: kept where they are, in memory
        that stays, for passes that are replayed."""
        outside = (labels > -1).logical_and_(labels < self.reader.classes).logical_not_()
        if valid is not None:
            outside.logical_and_(valid.view(outside.shape))
        self.seen.copy_(torch.where(self.wrong, self.seen, labels))
        self.wrong.logical_or_(outside.any())

    def check(self) -> None:
        """Refuse what has been read on a device since the last check, if it is no class."""
        if not self.op.on_cpu and bool(self.wrong):
            self.wrong.fill_(False)
            self.reader.read(self.seen.cpu().numpy().copy())


@takes("SoftmaxWithLoss")
class SoftmaxWithLoss(Op):
    """−(1/n) Σ ln max(p, FLT_MIN) of the labelled classes."""

    def prepare(self) -> None:
        layer = self.layer
        self.axis: int = layer._axis  # type: ignore[attr-defined]
        self.sizes = layer._sizes  # type: ignore[attr-defined]
        self.mode = layer._mode  # type: ignore[attr-defined]
        self.fixed: float = layer.loss_param.pre_fixed_normalizer  # type: ignore[attr-defined]
        if not self.sizes[0] * self.sizes[1] * self.sizes[2]:
            raise Unsupported
        self.labels = Labels(layer._labels, self)  # type: ignore[attr-defined]
        self.prob: Tensor | None = None

    def divisor(self, valid: Tensor | None) -> float | Tensor:
        """What the sum is divided by."""
        outer, _, inner = self.sizes
        if valid is None or self.mode != LossNormalization.VALID:
            return normalizer(self.mode, outer, inner, outer * inner, self.fixed)
        if self.on_cpu:
            return normalizer(self.mode, outer, inner, int(torch.count_nonzero(valid)), self.fixed)
        return torch.clamp_min(torch.count_nonzero(valid), 1)

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x = bottom[0].reshape(self.sizes)
        self.prob = torch.softmax(x, 1)
        _, self.index, self.valid = self.labels.read(bottom[1])
        # a copy: the reader's arrays are written again by the next pass
        picked = self.prob.view(-1).take(self.index)
        terms = picked.clamp_min_(FLT_MIN).log_()
        if self.valid is not None:
            terms.mul_(self.valid)
        self.n = self.divisor(self.valid)
        loss = terms.sum().neg_().div_(self.n)
        return (loss, self.prob.view(self.shapes[0][0]))[: len(self.shapes[1])]

    views = True  # a second top is what the backward pass needs

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None, None)
        if self.prob is None:
            self.forward([torch.as_tensor(b) for b in bottom], (None, None))
        assert self.prob is not None
        scale = top_diff[0].reshape(()) / self.n
        dx = self.prob * scale
        dx.view(-1).index_add_(0, self.index, (-scale).expand(self.index.shape))
        if self.valid is not None:
            dx.mul_(self.valid.view(self.sizes[0], 1, self.sizes[2]))
        return (dx.view(self.shapes[0][0]), None)

    def check(self) -> None:
        self.labels.check()
