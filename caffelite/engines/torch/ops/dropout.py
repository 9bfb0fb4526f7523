"""Dropout: the masks are drawn on the host, from the layer's own stream, as NumPy's are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, takes
from caffelite.schema.common import Phase


@takes("Dropout")
class Dropout(Op):
    """y = x · m / (1 − p) in training, x otherwise."""

    views = True

    def prepare(self) -> None:
        self.training = self.layer.phase == Phase.TRAIN
        self.ratio: float = self.layer._ratio  # type: ignore[attr-defined]
        self.factor = 1 / (1 - self.ratio)
        if self.training:
            shape = self.shapes[0][0]
            self.chance = np.empty(shape, np.float32)
            self.mask = torch.zeros(shape, dtype=self.dtype, device=self.device)

    def draw(self) -> None:
        if not self.training:
            return
        self.layer.rng.random(dtype=np.float32, out=self.chance)
        drawn = torch.from_numpy(self.chance)
        if not self.on_cpu:
            drawn = drawn.to(self.device)
        self.mask.copy_(drawn >= self.ratio).mul_(self.factor)

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        x, out = bottom[0], spare[0]
        if not self.training:
            return (x,)
        return (torch.mul(x, self.mask) if out is None else torch.mul(x, self.mask, out=out),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        dy, dx = top_diff[0], spare[0]
        if not needed[0]:
            return (None,)
        if not self.training:
            return (dy,)
        return (torch.mul(dy, self.mask) if dx is None else torch.mul(dy, self.mask, out=dx),)
