"""ArgMax: which values are the largest."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ArgMaxParameter(LayerMessage, field="argmax_param", number=103):
    """Along which axis, how many, and whether their values are given too."""

    out_max_val: bool = field(
        1, "bool", default=False, doc="give the values: beside the indices, or with axis instead"
    )
    top_k: int = field(2, "uint32", default=1, least=1, doc="how many of the largest")
    axis: int = field(3, "int32", doc="the axis to search; none: a sample's values, flattened")


@register
class ArgMax(Layer):
    """The indices of the `top_k` largest values, largest first; of equal values the later index
    comes first, as in Caffe.

    With `axis`, the values along it are compared; the top holds their indices, or the values
    instead with `out_max_val`. Without `axis`, all values of a sample are compared; the top holds
    the indices, and the values after them with `out_max_val`.

    No gradient.
    Shapes: with `axis`, as the bottom but with the extent `top_k` there. Without, (N, 1, k), or
    (N, 2, k) with `out_max_val`; axes of 1 follow when the bottom has more than three.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/argmax.html
    """

    backward_reads = ()
    param: ArgMaxParameter = param_of(ArgMaxParameter)
    cases = (
        Case(
            'type: "ArgMax" argmax_param { axis: 1 }',
            {"x": [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]]},
            {"y": [[1.0], [0.0]]},
        ),
        Case(
            'type: "ArgMax" argmax_param { top_k: 2 out_max_val: true }',
            {"x": [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]]},
            {"y": [[[1.0, 2.0], [0.7, 0.2]], [[0.0, 2.0], [0.5, 0.3]]]},
        ),
        Case(
            'type: "ArgMax"',
            {"x": [[[[1.0, 2.0], [5.0, 4.0]]], [[[3.0, 2.0], [1.0, 3.0]]]]},
            {"y": [[[[2.0]]], [[[3.0]]]]},
            note="of two equal values the later one is found",
        ),
        Case(
            'type: "ArgMax" argmax_param { axis: -2 top_k: 2 out_max_val: true }',
            {"x": [[[1.0, 9.0], [3.0, 7.0], [2.0, 8.0]]]},
            {"y": [[[3.0, 9.0], [2.0, 8.0]]]},
        ),
        Case(
            'type: "ArgMax" argmax_param { axis: 1 top_k: 3 }',
            {"x": [[5.0, 1.0, 5.0, 5.0]]},
            {"y": [[3.0, 2.0, 0.0]]},
        ),
        Case('type: "ArgMax" argmax_param { top_k: 3 }', {"x": random(2, 3, 2)}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,) = bottom
        k, has_axis = self.param.top_k, self.param.has("axis")
        if has_axis:
            axis = self.axis(self.param.axis, len(shape), "argmax_param", "axis")
            self._sizes = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        elif not shape:
            self.fail(f'bottom "{self.spec.bottom[0]}" is a scalar', "bottom")
        else:
            self._sizes = shape[0], math.prod(shape[1:]), 1
        if k > self._sizes[1]:
            self.fail(
                f"top_k is {k}, but there are {self._sizes[1]} values to compare: bottom "
                f'"{self.spec.bottom[0]}" is {show(shape)}',
                "argmax_param",
                "top_k",
                expected=f"1 to {self._sizes[1]}",
            )
        if has_axis:
            return [(*shape[:axis], k, *shape[axis + 1 :])]
        return [(shape[0], 2 if self.param.out_max_val else 1, k, *(1,) * (len(shape) - 3))]

    def propagates(self, index: int) -> bool:
        return False

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        outer, _, inner = self._sizes
        k, values = self.param.top_k, self.param.out_max_val
        x = bottom[0].reshape(self._sizes)
        index = _largest(x, k)
        if self.param.has("axis"):
            found = np.take_along_axis(x, index, 1) if values else index
            np.copyto(
                top[0].reshape(outer, k, inner), found, casting="same_kind" if values else "unsafe"
            )
            return
        y = top[0].reshape(outer, 2 if values else 1, k)
        y[:, 0] = index[:, :, 0]
        if values:
            y[:, 1] = np.take_along_axis(x, index, 1)[:, :, 0]


def _largest(x: Array, k: int) -> Array:
    """The indices of the k largest values along axis 1 of (outer, C, inner), largest first."""
    if k == 1:
        # the last of the largest is the first one from behind
        last: Array = x.shape[1] - 1 - x[:, ::-1].argmax(1)[:, None]
        return last
    return np.argsort(x, 1, kind="stable")[:, ::-1][:, :k]
