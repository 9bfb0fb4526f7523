"""Reshape: the same values in another shape."""

from __future__ import annotations

import math

from caffelite.blob import Shape
from caffelite.layers.base import Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.flatten import SameValues
from caffelite.schema.common import BlobShape
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ReshapeParameter(LayerMessage, field="reshape_param", number=133):
    """The new extents, and which axes they replace."""

    shape: BlobShape = field(
        1, BlobShape, doc="the new extents; 0 copies the bottom's, one -1 is worked out"
    )
    axis: int = field(2, "int32", default=0, doc="the first axis replaced; -1 is after the last")
    num_axes: int = field(3, "int32", default=-1, doc="how many axes are replaced; -1: the rest")


@register
class Reshape(SameValues):
    """The `num_axes` axes from `axis` on are replaced by the extents of `shape`.

    In `shape`, a 0 copies the extent that the bottom has at that place, and one -1 stands for
    whatever keeps the number of values. By default all axes are replaced.

    Gradient: ∂L/∂x = ∂L/∂y, in the bottom's shape.
    Shapes: of bottom (N, C, H, W), `shape { dim: 0 dim: -1 }` makes (N, C·H·W), and
    `shape { dim: -1 } axis: 2` makes (N, C, H·W).
    Source: https://caffe.berkeleyvision.org/tutorial/layers/reshape.html
    """

    rearranges = True
    param: ReshapeParameter = param_of(ReshapeParameter)
    cases = (
        Case(
            'type: "Reshape" reshape_param { shape { dim: 0 dim: 2 dim: -1 } }',
            {"x": [[1.0, 2.0, 3.0, 4.0]]},
            {"y": [[[1.0, 2.0], [3.0, 4.0]]]},
        ),
        Case(
            'type: "Reshape" reshape_param { shape { dim: 2 dim: -1 } axis: 1 num_axes: 2 }',
            {"x": random(2, 3, 4, 5)},
            note="(2, 3, 4, 5) becomes (2, 2, 6, 5)",
        ),
        Case(
            'type: "Reshape" reshape_param { shape { dim: 1 } axis: -2 num_axes: 0 }',
            {"x": [[1.0, 2.0], [3.0, 4.0]]},
            {"y": [[[1.0, 2.0]], [[3.0, 4.0]]]},
            note="num_axes: 0 puts in new axes and replaces none",
        ),
        Case(
            'type: "Reshape" reshape_param { shape { dim: -1 } axis: -3 }',
            {"x": [[[1.0, 2.0], [3.0, 4.0]]]},
            {"y": [[1.0, 2.0, 3.0, 4.0]]},
            note="of 3 axes and a negative axis, -4 is the first",
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        dims = self.param.shape.dim
        if any(n < -1 for n in dims) or list(dims).count(-1) > 1:
            self.fail(
                f"the shape {_dims(dims)} cannot be worked out",
                "reshape_param",
                "shape",
                expected="extents, 0 to copy one, and at most one -1",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,) = bottom
        p, what = self.param, f'bottom "{self.spec.bottom[0]}" is {show(bottom[0])}'
        start = self.axis(p.axis, len(shape), "reshape_param", "axis", end=True)
        end = len(shape) if p.num_axes == -1 else start + p.num_axes
        if not start <= end <= len(shape):
            self.fail(
                f"{what}: there are no {p.num_axes} axes from axis {start} on",
                "reshape_param",
                "num_axes",
                expected=f"0 to {len(shape) - start}, or -1 for the rest",
            )
        new = list(p.shape.dim)
        copied = [start + i for i, n in enumerate(new) if n == 0]
        if copied and copied[-1] >= len(shape):
            self.fail(
                f"{what}: it has no axis {copied[-1]} for the 0 in {_dims(new)} to copy",
                "reshape_param",
                "shape",
            )
        for axis in copied:
            new[axis - start] = shape[axis]
        replaced = math.prod(shape[start:end])
        if -1 in new:
            # copied extents cancel out, and so may be 0: an empty batch keeps its other axes
            have = math.prod(shape[a] for a in range(start, end) if a not in copied)
            known = math.prod(n for i, n in enumerate(new, start) if n > 0 and i not in copied)
            known *= math.prod(shape[a] for a in copied if a >= end)
            if known == 0 or have % known:
                self._refuse(shape, replaced, -math.prod(new))
            new[new.index(-1)] = have // known
        elif math.prod(new) != replaced:
            self._refuse(shape, replaced, math.prod(new))
        return [(*shape[:start], *new, *shape[end:])]

    def _refuse(self, shape: Shape, replaced: int, known: int) -> None:
        self.fail(
            f'bottom "{self.spec.bottom[0]}" is {show(shape)}: its {replaced} values in the axes '
            f"replaced do not fit {_dims(self.param.shape.dim)}, which is for "
            + (f"a multiple of {known}" if -1 in self.param.shape.dim else f"{known}"),
            "reshape_param",
            "shape",
            expected="a shape of as many values",
            hint="dim: -1 stands for the extent that fits",
        )


def _dims(dims: list[int]) -> str:
    return f"({', '.join(map(str, dims))})"
