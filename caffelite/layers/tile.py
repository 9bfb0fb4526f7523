"""Tile: a blob repeated along one axis."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class TileParameter(LayerMessage, field="tile_param", number=138):
    """Along which axis, how often."""

    axis: int = field(1, "int32", default=1, doc="the axis to repeat; negative from the end")
    tiles: int = field(2, "int32", least=1, doc="how often")


@register
class Tile(Layer):
    """y = [x, x, …], `tiles` copies one after the other along `axis`.

    Gradient: ∂L/∂x is the sum of ∂L/∂y over the copies.
    Shapes: the top is as the bottom, but `tiles` times as large along `axis`.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/tile.html
    """

    backward_reads = ()
    param: TileParameter = param_of(TileParameter)
    cases = (
        Case(
            'type: "Tile" tile_param { tiles: 2 }',
            {"x": [[1.0, 2.0], [3.0, 4.0]]},
            {"y": [[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0]]},
        ),
        Case(
            'type: "Tile" tile_param { tiles: 3 axis: 0 }',
            {"x": [[1.0, 2.0]]},
            {"y": [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]},
        ),
        Case('type: "Tile" tile_param { tiles: 3 axis: -2 }', {"x": random(2, 3, 2)}),
    )

    def setup(self, bottom: Shapes) -> None:
        self.need("tile_param", "tiles", expected="how often to repeat, tile_param { tiles: 2 }")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (shape,) = bottom
        axis = self.axis(self.param.axis, len(shape), "tile_param", "axis")
        # with the axis merged into those after it, the copies lie side by side
        self._outer, self._inner = math.prod(shape[:axis]), math.prod(shape[axis:])
        return [(*shape[:axis], shape[axis] * self.param.tiles, *shape[axis + 1 :])]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x = bottom[0].reshape(self._outer, 1, self._inner)
        np.copyto(top[0].reshape(self._outer, self.param.tiles, self._inner), x)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            dy = top_diff[0].reshape(self._outer, self.param.tiles, self._inner)
            np.add.reduce(dy, 1, out=bottom_diff[0].reshape(self._outer, self._inner))
