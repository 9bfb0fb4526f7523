"""MergeCrop: a map and the middle of a larger one, joined."""

from __future__ import annotations

from enum import IntEnum

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage

PARAM = "mergecrop_param"


class MergeOp(IntEnum):
    """How the two become one."""

    STACK = 0
    ADD = 1


class MergeCropParameter(LayerMessage, field=PARAM, number=1161):
    """How the two become one, and which of them counts."""

    forward: list[bool] = repeated(1, "bool", doc="is each bottom read? default 1 1")
    backward: list[bool] = repeated(2, "bool", doc="does each bottom get its gradient? default 1 0")
    operation: MergeOp = field(
        3, MergeOp, default=MergeOp.STACK, doc="channels side by side, or a sum"
    )


@register
class MergeCrop(Layer):
    """The middle of b, of a's height and width, joined to a: channels of a, then of b (STACK), or
    a + b (ADD). Along each axis the crop starts at ⌊(size of b − size of a)/2⌋. A bottom whose
    `forward` is 0 counts as zeros.

    Gradient: each part of ∂L/∂y, 0 outside of the crop. The second bottom gets one only with
    `backward: 1 backward: 1`; the default is that of the fork, 1 and 0.
    Shapes: a (N, C, …), b (N, D, …) with as many axes, none smaller; y (N, C + D, …), or (N, C, …).
    Source: Ronneberger et al. 2015, U-Net; Tschopp 2015, naibaf7/caffe.
    """

    bottoms = (2, 2)
    backward_reads = ()
    extension = "naibaf7/caffe and Greentea (OpenCL Caffe)"
    param: MergeCropParameter = param_of(MergeCropParameter)
    cases = (
        Case(
            f'type: "MergeCrop" {PARAM} {{ backward: 1 backward: 1 }}',
            {
                "a": [[[[1.0, 2.0]]]],
                "b": [[[[0.0, 0.0, 0.0, 0.0], [0.0, 5.0, 6.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]],
            },
            {"y": [[[[1.0, 2.0]], [[5.0, 6.0]]]]},
        ),
        Case(
            f'type: "MergeCrop" {PARAM} {{ operation: ADD backward: 1 backward: 1 }}',
            {"a": [[[1.0, 2.0]]], "b": [[[5.0, 6.0, 7.0]]]},
            {"y": [[[6.0, 8.0]]]},
        ),
        Case('type: "MergeCrop"', {"a": random(2, 1, 2, 1), "b": random(2, 2, 3, 3)}),
    )

    def _pair(self, name: str, default: tuple[int, int]) -> tuple[int, int]:
        given = [int(value) for value in self.param.get(name)]
        if len(given) > 2:
            self.fail(f"{len(given)} {name}", PARAM, name, expected="one for each bottom")
        first, second = [*given, *default[len(given) :]]
        return first, second

    def setup(self, bottom: Shapes) -> None:
        self._reads = self._pair("forward", (1, 1))

    def propagates(self, index: int) -> bool:
        return bool(self._pair("backward", (1, 0))[index])

    def reshape(self, bottom: Shapes) -> list[Shape]:
        a, b = bottom
        adds = self.param.operation == MergeOp.ADD
        small = len(a) != len(b) or any(x > y for x, y in zip(a[2:], b[2:]))
        if small or len(a) < 2 or a[0] != b[0] or (adds and a[1] != b[1]):
            self.fail(
                f'bottom "{self.spec.bottom[1]}" is {show(b)}, but '
                f'"{self.spec.bottom[0]}" is {show(a)}',
                "bottom",
                index=1,
                expected="as many images, and at least the extents of the first",
            )
        starts = [(y - x) // 2 for x, y in zip(a[2:], b[2:])]
        middle = [slice(s, s + x) for s, x in zip(starts, a[2:])]
        self._crop = (slice(None), slice(None), *middle)
        return [a if adds else (a[0], a[1] + b[1], *a[2:])]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        a, b, y = bottom[0], bottom[1][self._crop], top[0]
        if self.param.operation == MergeOp.ADD:
            y[...] = a * self._reads[0] + b * self._reads[1]
            return
        y[:, : a.shape[1]] = a * self._reads[0]
        y[:, a.shape[1] :] = b * self._reads[1]

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dy, channels = top_diff[0], self.bottom_shapes[0][1]
        adds = self.param.operation == MergeOp.ADD
        da, db = bottom_diff
        if da is not None:
            da[...] = (dy if adds else dy[:, :channels]) * self._reads[0]
        if db is not None:
            db.fill(0)
            db[self._crop] = (dy if adds else dy[:, channels:]) * self._reads[1]
