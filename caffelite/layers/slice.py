"""Slice: a blob cut into parts along one axis."""

from __future__ import annotations

import itertools

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class SliceParameter(LayerMessage, field="slice_param", number=126):
    """The axis to cut and where."""

    axis: int = field(3, "int32", default=1, doc="the axis to cut; negative from the end")
    slice_point: list[int] = repeated(
        2, "uint32", doc="where each top but the first starts; none: equal parts"
    )
    slice_dim: int = field(1, "uint32", default=1, deprecated=True, doc="old name of axis")


@register
class Slice(Layer):
    """y₀ = x[0:p₁], y₁ = x[p₁:p₂], …, along `axis`, with the points p of `slice_point`; equal parts
    if there are none.

    Gradient: ∂L/∂x is the gradients of the tops, joined along `axis`.
    Shapes: the tops are as the bottom but along `axis`, where their extents add up to its.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/slice.html
    """

    tops = (1, ANY)
    backward_reads = ()
    param: SliceParameter = param_of(SliceParameter)
    cases = (
        Case(
            'type: "Slice" slice_param { slice_point: 1 }',
            {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
            {"a": [[1.0], [4.0]], "b": [[2.0, 3.0], [5.0, 6.0]]},
        ),
        Case(
            'type: "Slice" slice_param { axis: 0 }',
            {"x": [[1.0, 2.0], [3.0, 4.0]]},
            {"a": [[1.0, 2.0]], "b": [[3.0, 4.0]]},
        ),
        Case(
            'type: "Slice" slice_param { axis: -2 slice_point: 1 slice_point: 4 }',
            {"x": random(2, 6, 3)},
            tops=["a", "b", "c"],
        ),
        Case(
            'type: "Slice" slice_param { slice_dim: 0 slice_point: 2 }',
            {"x": [[1.0], [2.0], [3.0]]},
            {"a": [[1.0], [2.0]], "b": [[3.0]]},
        ),
        Case('type: "Slice"', {"x": [[1.0, 2.0]]}, {"a": [[1.0, 2.0]]}, note="one top"),
    )

    def setup(self, bottom: Shapes) -> None:
        if self.param.has("axis") and self.param.has("slice_dim"):
            self.fail(
                "axis and slice_dim are both given",
                "slice_param",
                "slice_dim",
                expected="one of them; slice_dim is the old name of axis",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,) = bottom
        name = "slice_dim" if self.param.has("slice_dim") else "axis"
        self._axis = axis = self.axis(self.param.get(name), len(shape), "slice_param", name)
        points = self._points(shape)
        before = (slice(None),) * axis
        self._parts = [(*before, slice(a, b)) for a, b in itertools.pairwise(points)]
        return [(*shape[:axis], b - a, *shape[axis + 1 :]) for a, b in itertools.pairwise(points)]

    def _points(self, shape: Shape) -> list[int]:
        """Where the tops start along the axis, then the extent of the axis."""
        tops, extent, given = len(self.spec.top), shape[self._axis], self.param.slice_point
        what = f'bottom "{self.spec.bottom[0]}" is {show(shape)}'
        if not given:
            if extent % tops:
                self.fail(
                    f"{what}: axis {self._axis} cannot be cut into {tops} equal parts",
                    "slice_param",
                    expected=f"an extent that {tops} divides, or {tops - 1} slice_point",
                )
            return [extent // tops * i for i in range(tops + 1)]
        if len(given) != tops - 1:
            self.fail(
                f"{len(given)} slice_point for {tops} tops",
                "slice_param",
                "slice_point",
                expected=f"{tops - 1}, one less than tops",
            )
        points = [0, *given, extent]
        for i, (a, b) in enumerate(itertools.pairwise(points)):
            if a >= b:
                self.fail(
                    f"{what}: top {i} would be {a} to {b} along axis {self._axis}",
                    "slice_param",
                    "slice_point",
                    expected=f"slice points that increase, between 0 and {extent}",
                )
        return points

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for y, part in zip(top, self._parts):
            np.copyto(y, bottom[0][part])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            np.concatenate(top_diff, self._axis, bottom_diff[0])
