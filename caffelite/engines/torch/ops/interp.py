"""Interp: bilinear interpolation as two matrix products, as the reference has it."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, takes


@takes("Interp")
class Interp(Op):
    """Y = A·X·Bᵀ with the layer's own matrices."""

    def prepare(self) -> None:
        layer = self.layer
        self.a = self.params.place.twin(layer._a)  # type: ignore[attr-defined]
        self.b = self.params.place.twin(layer._b)  # type: ignore[attr-defined]
        self.part = (..., layer._rows, layer._columns)  # type: ignore[attr-defined]

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        return (self.a @ bottom[0][self.part].contiguous() @ self.b.t(),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        rest = (None,) * (len(bottom) - 1)
        if not needed[0]:
            return (None, *rest)
        dx = self.numbers(self.shapes[0][0])
        dx[self.part] = self.a.t() @ (top_diff[0].contiguous() @ self.b)
        return (dx, *rest)
