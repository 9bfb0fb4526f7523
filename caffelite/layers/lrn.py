"""LRN: local response normalisation."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.kernels import Window
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.common import NO_CHOICE, Engine
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class NormRegion(IntEnum):
    """Where an activation's neighbours are."""

    ACROSS_CHANNELS = 0
    WITHIN_CHANNEL = 1


class LRNParameter(LayerMessage, field="lrn_param", number=118):
    """The neighbourhood and the strength of local response normalisation."""

    local_size: int = field(
        1, "uint32", default=5, least=1, doc="channels, or side of the square; odd"
    )
    alpha: float = field(2, "float", default=1.0, doc="weight of the mean square")
    beta: float = field(3, "float", default=0.75, doc="exponent of the scale")
    norm_region: NormRegion = field(
        4,
        NormRegion,
        default=NormRegion.ACROSS_CHANNELS,
        doc="neighbours: the same place in near channels, or a square in the same channel",
    )
    k: float = field(5, "float", default=1.0, doc="constant of the scale (across channels only)")
    engine: Engine = field(6, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)


@register
class LRN(Layer):
    """y = x · s^−β, the scale s growing with the squares of the neighbours.

    ACROSS_CHANNELS: s_c = k + α/n · Σ of x_i² over the n = `local_size` channels around c.
    WITHIN_CHANNEL: s = 1 + α · A(x²), A being the mean of the n x n square around each place (the
    AVE Pooling of stride 1 and pad ⌊n/2⌋). k has no part in it, as in Caffe.

    Gradients: across, ∂L/∂x_c = ∂L/∂y_c · s_c^−β − 2αβ/n · x_c · Σ over the same channels of
    ∂L/∂y_i · y_i / s_i. Within, ∂L/∂x = ∂L/∂y · s^−β − 2αβ · x · Aᵀ(∂L/∂y · x · s^(−β−1)).
    Shapes: bottom and top alike, (N, C, H, W).
    Source: Krizhevsky, Sutskever and Hinton 2012;
    https://caffe.berkeleyvision.org/tutorial/layers/lrn.html
    """

    backward_reads: tuple[str, ...] = ("bottom", "top")
    param: LRNParameter = param_of(LRNParameter)
    cases = (
        Case(
            'type: "LRN" lrn_param { local_size: 3 alpha: 3 beta: 1 k: 2 }',
            {"x": [[[[1.0]], [[2.0]], [[3.0]]]]},
            {"y": [[[[1 / 7]], [[2 / 16]], [[3 / 15]]]]},
        ),
        Case(
            'type: "LRN" lrn_param { local_size: 3 alpha: 9 beta: 1 norm_region: WITHIN_CHANNEL }',
            {"x": [[[[1.0, 2.0]], [[3.0, 0.0]]]]},
            {"y": [[[[1 / 6, 2 / 6]], [[3 / 10, 0.0]]]]},
        ),
        Case('type: "LRN" lrn_param { alpha: 0.5 }', {"x": random(2, 7, 2, 3)}),
        Case(
            'type: "LRN" lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }',
            {"x": random(2, 2, 4, 5)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        if p.local_size % 2 == 0:
            self.fail(
                f"local_size is {p.local_size}",
                "lrn_param",
                "local_size",
                expected="an odd number, so that there is a middle",
            )
        self.within = p.norm_region == NormRegion.WITHIN_CHANNEL
        if self.within:
            self.backward_reads = ("bottom",)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if len(bottom[0]) != 4:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(bottom[0])}',
                "bottom",
                expected="4 axes: images, channels, height, width",
            )
        return list(bottom)

    def prepare(self) -> None:
        self._kept: list[Array] = []
        if self.within:
            n = self.param.local_size
            self._window = Window.of((n, n), pad=n // 2)

    def _keep(self) -> None:
        """Take memory for what the backward pass needs: a pass that none follows needs none."""
        if not self._kept:
            count = 3 if self.within else 1
            self._kept = [np.empty(self.bottom_shapes[0], self.dtype) for _ in range(count)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        self._keep()
        p, x, y, (scale, *others) = self.param, bottom[0], top[0], self._kept
        if not self.within:
            self.kernels.lrn_forward(x, y, scale, p.local_size, p.alpha, p.beta, p.k)
            return
        power, square = others
        self.normalise(x, y, square, scale, power)

    def normalise(self, x: Array, y: Array, square: Array, scale: Array, power: Array) -> None:
        """Within channels: write y, and on the way the other arrays."""
        np.multiply(x, x, square)
        self.kernels.ave_pool_forward(square, scale, self._window)
        scale *= self.param.alpha
        scale += 1
        np.power(scale, -self.param.beta, power)
        np.multiply(x, power, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        p, x, dy, dx, scale = self.param, bottom[0], top_diff[0], bottom_diff[0], self._kept[0]
        if dx is None:
            return
        if not self.within:
            self.kernels.lrn_backward(x, top[0], scale, dy, dx, p.local_size, p.alpha, p.beta)
            return
        power, inner = self._kept[1:]
        np.multiply(dy, x, inner)
        inner *= power
        inner /= scale
        self.kernels.ave_pool_backward(inner, dx, self._window)
        dx *= x
        dx *= -2 * p.alpha * p.beta
        np.multiply(dy, power, inner)
        dx += inner
