"""ShuffleChannel: channels dealt out over the groups."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class ShuffleChannelParameter(LayerMessage, field="shuffle_channel_param", number=164):
    """The number of groups."""

    group: int = field(
        1, "uint32", default=1, least=1, doc="groups of channels; must divide the channels"
    )


@register
class ShuffleChannel(Layer):
    """y_{j·g+i} = x_{i·m+j}: of g groups of m channels, first the first channel of each group, then
    the second of each, and so on. After a convolution in groups, each group of the next one then
    sees channels of all.

    Gradient: ∂L/∂x_{i·m+j} = ∂L/∂y_{j·g+i}.
    Shapes: bottom and top alike, (N, C, …), C = g·m.
    Source: the ShuffleNet fork of Caffe; Zhang, Zhou, Lin & Sun 2017, "ShuffleNet".
    """

    backward_reads = ()
    extension = "ShuffleNet fork, shuffle_channel_param 164"
    param: ShuffleChannelParameter = param_of(ShuffleChannelParameter)
    cases = (
        Case(
            'type: "ShuffleChannel" shuffle_channel_param { group: 2 }',
            {"x": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]},
            {"y": [[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]]},
        ),
        Case(
            'type: "ShuffleChannel" shuffle_channel_param { group: 3 }', {"x": random(2, 6, 2, 3)}
        ),
        Case('type: "ShuffleChannel"', {"x": [[1.0, 2.0]]}, {"y": [[1.0, 2.0]]}),
    )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,), group = bottom, self.param.group
        self.axis(1, len(shape), "bottom")
        if shape[1] % group:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}: its {shape[1]} channels are not '
                f"{group} equal groups",
                "shuffle_channel_param",
                "group",
            )
        per_group = shape[1] // group
        self._grouped = (shape[0], group, per_group, math.prod(shape[2:]))
        self._dealt = (shape[0], per_group, group, math.prod(shape[2:]))
        return [shape]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = bottom[0].reshape(self._grouped), top[0].reshape(self._dealt)
        np.copyto(y, x.swapaxes(1, 2))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            dy, dx = top_diff[0].reshape(self._dealt), bottom_diff[0].reshape(self._grouped)
            np.copyto(dx, dy.swapaxes(1, 2))
