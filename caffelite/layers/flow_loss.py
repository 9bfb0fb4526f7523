"""FlowLoss: what the losses of FlowNet's forks have in common: sums of powers, NaN left out."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, LossLayer, Shapes, show


class FlowLoss(LossLayer):
    """L = 1/N · Σ (w·Σ_c (|d| + e)^p + f)^q over the places of all samples, d = a − b or a alone.

    Where d is not a number it counts as 0 and passes no gradient. `settings` says the exponents,
    and below which |d| (`least`), or which sum over channels (`least_sum`), a place counts as 0."""

    bottoms = (1, 2)
    learns_labels = True
    backward_reads = ()
    p, q, e, f, w = 1.0, 1.0, 0.0, 0.0, 1.0
    least = least_sum = 0.0
    by_entries = False

    def propagates(self, index: int) -> bool:
        return True

    def settings(self, channels: int) -> None:
        """Set the exponents and the rest."""

    def setup(self, bottom: Shapes) -> None:
        self.settings(bottom[0][1] if len(bottom[0]) > 1 else 1)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if len(bottom[0]) < 2:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(bottom[0])}', "bottom", expected="N x C x …")
        self.same_shapes(bottom)
        return [()]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        self._view = (shape[0], shape[1], math.prod(shape[2:]))
        self._slope = np.empty(self._view, self.dtype)
        self._size = np.empty(self._view, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        size, slope = self._size, self._slope
        if len(bottom) == 2:
            np.subtract(bottom[0].reshape(self._view), bottom[1].reshape(self._view), size)
        else:
            np.copyto(size, bottom[0].reshape(self._view))
        lost = np.isnan(size)
        number: float = max(1, self._view[0])
        if self.by_entries:
            known = int(np.count_nonzero(~lost))
            number = max(1, known) / max(1, self._view[1])
        size[lost] = 0
        np.sign(size, slope)
        np.abs(size, size)
        if self.least > 0:
            lost |= size < self.least
        slope[lost], size[lost] = 0, 0
        size += self.dtype.type(self.e)
        sums = self.w * np.power(size, self.p).sum(1, keepdims=True)
        flat = sums < self.least_sum
        sums[flat] = 0
        sums += self.f
        top[0][()] = np.power(sums, self.q).sum() / number
        if self.p != 1:
            # an exponent below 1 is steep without end at 0; the sign makes that place 0
            near = np.power(np.where(slope == 0, 1, size), self.p - 1)
            np.multiply(slope, self.p * near, slope)
        if self.q != 1:
            outer = np.power(np.where(sums == 0, 1, sums), self.q - 1) * self.q
            outer[(sums == 0) & (self.q > 1)] = 0
            slope *= outer
        slope *= np.where(flat, 0, self.w / number)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for dx, sign in zip(bottom_diff, (1, -1)):
            if dx is not None:
                np.multiply(self._slope.reshape(dx.shape), sign * top_diff[0], dx)
