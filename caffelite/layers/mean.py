"""Mean: a mean added or taken away, channel by channel."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import ANY, Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class MeanOperation(IntEnum):
    """What is done with the mean."""

    ADD = 1
    SUBTRACT = 4


class MeanParameter(LayerMessage, field="mean_param", number=154):
    """The mean, and three factors."""

    operation: MeanOperation = field(1, MeanOperation, required=True, doc="ADD or SUBTRACT")
    file: str = field(2, "string", doc="a mean image; not followed here")
    value: list[float] = repeated(3, "float", doc="of the channels, in turn")
    mean_scale: float = field(4, "float", default=1, doc="factor on the mean")
    input_scale: float = field(5, "float", default=1, doc="factor on the bottom")
    output_scale: float = field(6, "float", default=1, doc="factor on all")


@register
class Mean(Layer):
    """y = o·(i·x ± m·v_c) with o = `output_scale`, i = `input_scale`, m = `mean_scale` and v_c the
    `value` of the channel, in turn if there are fewer; the same for each pair of bottom and top. A
    mean image (`file`) is refused.

    Gradient: o·i·∂L/∂y.
    Shapes: bottoms and tops alike, (N, C, …), as many tops as bottoms.
    Source: Dosovitskiy et al. 2015, FlowNet (lmb-freiburg). mean_param is 1000 in its first fork.
    """

    bottoms = (1, ANY)
    tops = (1, ANY)
    in_place = True
    backward_reads = ()
    extension = "FlowNet's forks, mean_param = 154"
    param: MeanParameter = param_of(MeanParameter)
    cases = (
        Case(
            'type: "Mean" mean_param { operation: SUBTRACT input_scale: 0.5 value: 1 value: 2 }',
            {"x": [[[4.0, 6.0], [8.0, 2.0]]]},
            {"y": [[[1.0, 2.0], [2.0, -1.0]]]},
        ),
        Case(
            'type: "Mean" mean_param { operation: ADD mean_scale: 3 output_scale: 2 value: 1 }',
            {"x": [[4.0, 6.0]], "z": [[1.0, 0.0]]},
            {"y": [[14.0, 18.0]], "w": [[8.0, 6.0]]},
        ),
        Case(
            'type: "Mean" mean_param { operation: ADD value: [1, 2, 3] input_scale: -2 }',
            {"x": random(2, 6, 2, 3)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        if len(self.spec.top) != len(bottom):
            self.fail(
                f"{len(self.spec.top)} tops for {len(bottom)} bottoms",
                "top",
                expected="a top for each bottom",
            )
        if self.param.has("file"):
            self.fail("a mean image is not followed", "mean_param", "file", expected="value")
        if not self.param.value:
            self.fail("the mean is missing", "mean_param", expected="value, one or more")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        count = len(self.param.value)
        for i, shape in enumerate(bottom):
            if len(shape) < 2 or shape[1] % count:
                name = self.spec.bottom[i]
                self.fail(
                    f'bottom "{name}" is {show(shape)}, with {count} values',
                    "bottom",
                    index=i,
                    expected=f"N x C x …, C a multiple of {count}",
                )
        return list(bottom)

    def prepare(self) -> None:
        p = self.param
        sign = -1 if p.operation == MeanOperation.SUBTRACT else 1
        self._factor = self.dtype.type(p.input_scale * p.output_scale)
        means = sign * p.mean_scale * p.output_scale * np.array(p.value, self.dtype)
        self._means: list[Array] = [
            np.resize(means, shape[1]).reshape(-1, *[1] * (len(shape) - 2))
            for shape in self.bottom_shapes
        ]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for x, y, mean in zip(bottom, top, self._means):
            np.multiply(x, self._factor, y)
            np.add(y, mean, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        for dx, dy in zip(bottom_diff, top_diff):
            if dx is not None:
                np.multiply(dy, self._factor, dx)
