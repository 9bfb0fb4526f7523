"""Concat: blobs joined along one axis."""

from __future__ import annotations

import itertools

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ConcatParameter(LayerMessage, field="concat_param", number=104):
    """The axis to join along."""

    axis: int = field(2, "int32", default=1, doc="the axis to join along; negative from the end")
    concat_dim: int = field(1, "uint32", default=1, deprecated=True, doc="old name of axis")


@register
class Concat(Layer):
    """y = [x₀, x₁, …], the bottoms one after the other along `axis`.

    Gradient: ∂L/∂xᵢ is the part of ∂L/∂y that xᵢ became.
    Shapes: bottoms alike in all extents but that of `axis`; the top's is the sum of theirs.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/concat.html
    """

    bottoms = (1, ANY)
    backward_reads = ()
    param: ConcatParameter = param_of(ConcatParameter)
    cases = (
        Case(
            'type: "Concat"',
            {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[5.0], [6.0]]},
            {"y": [[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]]},
        ),
        Case(
            'type: "Concat" concat_param { axis: 0 }',
            {"a": [[1.0, 2.0]], "b": [[3.0, 4.0]], "c": [[5.0, 6.0]]},
            {"y": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]},
        ),
        Case(
            'type: "Concat" concat_param { axis: -1 }',
            {"a": random(2, 3, 1), "b": random(2, 3, 4)},
        ),
        Case(
            'type: "Concat" concat_param { concat_dim: 0 }',
            {"a": [[1.0]], "b": [[2.0]]},
            {"y": [[1.0], [2.0]]},
        ),
        Case('type: "Concat"', {"a": [[1.0, 2.0]]}, {"y": [[1.0, 2.0]]}, note="one bottom"),
    )

    def setup(self, bottom: Shapes) -> None:
        if self.param.has("axis") and self.param.has("concat_dim"):
            self.fail(
                "axis and concat_dim are both given",
                "concat_param",
                "concat_dim",
                expected="one of them; concat_dim is the old name of axis",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        name = "concat_dim" if self.param.has("concat_dim") else "axis"
        self._axis = axis = self.axis(self.param.get(name), len(bottom[0]), "concat_param", name)
        first = bottom[0]
        for k, (blob, shape) in enumerate(zip(self.spec.bottom, bottom)):
            if len(shape) != len(first) or any(
                i != axis and n != m for i, (n, m) in enumerate(zip(shape, first))
            ):
                self.fail(
                    f'bottom "{blob}" is {show(shape)}, but "{self.spec.bottom[0]}" is '
                    f"{show(first)}",
                    "bottom",
                    index=k,
                    expected=f"bottoms that differ along axis {axis} only",
                )
        return [(*first[:axis], sum(shape[axis] for shape in bottom), *first[axis + 1 :])]

    def prepare(self) -> None:
        before = (slice(None),) * self._axis
        ends = list(itertools.accumulate(shape[self._axis] for shape in self.bottom_shapes))
        self._parts = [(*before, slice(a, b)) for a, b in zip([0, *ends], ends)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        np.concatenate(bottom, self._axis, top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for dx, part in zip(bottom_diff, self._parts):
            if dx is not None:
                np.copyto(dx, top_diff[0][part])
