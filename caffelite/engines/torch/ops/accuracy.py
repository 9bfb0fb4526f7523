"""Accuracy: how often the labelled class is among the best."""

from __future__ import annotations

import torch
from torch import Tensor

from caffelite.engines.torch.op import Op, Spare, Tensors, takes
from caffelite.engines.torch.ops.softmax import Labels


@takes("Accuracy")
class Accuracy(Op):
    """A place is right if fewer than `top_k` other classes score at least as much."""

    def prepare(self) -> None:
        layer = self.layer
        self.sizes = layer._sizes  # type: ignore[attr-defined]
        self.top_k: int = layer.param.top_k  # type: ignore[attr-defined]
        self.least: bool = layer.param.min_is_better  # type: ignore[attr-defined]
        self.labels = Labels(layer._labels, self)  # type: ignore[attr-defined]

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        outer, classes, inner = self.sizes
        scores = bottom[0].reshape(self.sizes)
        label, index, valid = self.labels.read(bottom[1])
        labelled = scores.reshape(-1).take(index).view(outer, 1, inner)
        worse = scores > labelled if self.least else scores < labelled
        better = classes - 1 - worse.sum(1)
        right = (better < self.top_k).view(-1).to(self.dtype)
        counts = torch.ones_like(right) if valid is None else valid.to(self.dtype)
        right = right * counts
        tops: list[Tensor] = [right.sum() / counts.sum().clamp_min_(1)]
        if len(self.shapes[1]) > 1:
            total = self.numbers((classes,)).index_add_(0, label, counts)
            hits = self.numbers((classes,)).index_add_(0, label, right)
            tops.append(hits / total.clamp_min_(1))
        return tops

    def check(self) -> None:
        self.labels.check()
