"""Concat, Slice, Split, Flatten, Reshape: values that only go elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, takes


@takes("Concat")
class Concat(Op):
    """The bottoms one after the other along an axis; back, parts of the gradient, as views."""

    views = True

    def prepare(self) -> None:
        self.axis: int = self.layer._axis  # type: ignore[attr-defined]
        self.extents = [shape[self.axis] for shape in self.shapes[0]]

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        return (torch.cat(list(bottom), self.axis),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        parts = torch.split(top_diff[0], self.extents, self.axis)
        return [part if need else None for part, need in zip(parts, needed)]


@takes("Slice")
class Slice(Op):
    """Parts of the bottom along an axis, as views."""

    views = True

    def prepare(self) -> None:
        self.axis: int = self.layer._axis  # type: ignore[attr-defined]
        self.extents = [shape[self.axis] for shape in self.shapes[1]]

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        return tuple(torch.split(bottom[0], self.extents, self.axis))

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        return (torch.cat(list(top_diff), self.axis) if needed[0] else None,)


@takes("Split")
class Split(Op):
    """The bottom again and again; back, the sum."""

    views = True

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        return tuple(bottom[0] for _ in self.shapes[1])

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        if not needed[0]:
            return (None,)
        if len(top_diff) == 1:
            return (top_diff[0],)
        dx = torch.add(top_diff[0], top_diff[1])
        for dy in top_diff[2:]:
            dx.add_(dy)
        return (dx,)


@takes("Flatten", "Reshape")
class SameValues(Op):
    """The same values in the same order, in another shape."""

    views = True

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        return (bottom[0].reshape(self.shapes[1][0]),)

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        return (top_diff[0].reshape(self.shapes[0][0]) if needed[0] else None,)
