"""Tiling: channels laid out as the places of a larger map."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "tiling_param"


class TilingParameter(LayerMessage, field=PARAM, number=500):
    """How large a tile is."""

    tile_dim: int = field(1, "int32", least=1, doc="side t of a tile; t² must divide the channels")


@register
class Tiling(Layer):
    """Each cell becomes a tile of t x t places, with t = `tile_dim`:
    y[c, i·t + a, j·t + b] = x[c·t² + a·t + b, i, j].

    Gradient: ∂L/∂x, the same way back.
    Shapes: (N, C·t², H, W) to (N, C, H·t, W·t).
    Source: Huval et al. 2015, An Empirical Evaluation of Deep Learning on Highway Driving;
    SeokjuLee/VPGNet.
    """

    rearranges = True
    backward_reads = ()
    extension = f"VPGNet's fork (SeokjuLee/VPGNet), {PARAM} = 500"
    param: TilingParameter = param_of(TilingParameter)
    cases = (
        Case(
            f'type: "Tiling" {PARAM} {{ tile_dim: 2 }}',
            {"x": [[[[1.0, 5.0]], [[2.0, 6.0]], [[3.0, 7.0]], [[4.0, 8.0]]]]},
            {"y": [[[[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]]]},
        ),
        Case(f'type: "Tiling" {PARAM} {{ tile_dim: 3 }}', {"x": random(2, 18, 2, 3)}),
    )

    def setup(self, bottom: Shapes) -> None:
        self.need(PARAM, "tile_dim", expected=f"{PARAM} {{ tile_dim: 8 }}")

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape, t = bottom[0], self.param.tile_dim
        if len(shape) != 4 or shape[1] % t**2:
            said = f'bottom "{self.spec.bottom[0]}" is {show(shape)}'
            self.fail(said, "bottom", expected=f"N x C x H x W, C a multiple of {t**2}")
        n, c, h, w = shape
        self._sizes = (n, c // t**2, t, t, h, w)
        return [(n, c // t**2, h * t, w * t)]

    def _tiles(self, x: Array) -> Array:
        """x (N, C·t², H, W) as (N, C, H, t, W, t)."""
        tiles: Array = x.reshape(self._sizes).transpose(0, 1, 4, 2, 5, 3)
        return tiles

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        tiles = self._tiles(bottom[0])
        np.copyto(top[0].reshape(tiles.shape), tiles)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            tiles = self._tiles(bottom_diff[0])
            np.copyto(tiles, top_diff[0].reshape(tiles.shape))
