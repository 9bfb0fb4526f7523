"""SPP: spatial pyramid pooling, a vector of fixed length from planes of any size."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.kernels import Window
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.pooling import ONE, PlanePool, PoolMethod
from caffelite.schema.common import NO_CHOICE, Engine
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class SPPMethod(IntEnum):
    """What a bin is reduced to."""

    MAX = 0
    AVE = 1
    STOCHASTIC = 2


class SPPParameter(LayerMessage, field="spp_param", number=132):
    """The height of the pyramid and how its levels pool."""

    pyramid_height: int = field(
        1, "uint32", least=1, doc="number of levels; level l has 2^l x 2^l bins"
    )
    pool: SPPMethod = field(2, SPPMethod, default=SPPMethod.MAX, doc="maximum or mean")
    engine: Engine = field(6, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)


@register
class SPP(Layer):
    """y = the poolings of x into 1 x 1, 2 x 2, 4 x 4, … bins, flattened and put side by side.

    Level l pools with kernel = stride = ⌈size / 2^l⌉ and pad = ⌈(kernel·2^l − size) / 2⌉ per axis,
    as Pooling does. Shapes: x is (N, C, H, W); y is (N, C·(1 + 4 + … )), or (N, C, 1, 1) with a
    single level.

    Gradient: the sum of the levels' gradients, each as in Pooling.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/spp.html; He et al., Spatial Pyramid
    Pooling in Deep Convolutional Networks for Visual Recognition, 2014
    """

    backward_reads: tuple[str, ...] = ()
    param: SPPParameter = param_of(SPPParameter)
    cases = (
        Case(
            'type: "SPP" spp_param { pyramid_height: 2 pool: MAX }',
            {"x": [[[[1.0, 2.0], [4.0, 3.0]]]]},
            {"y": [[4.0, 1.0, 2.0, 4.0, 3.0]]},
        ),
        Case(
            'type: "SPP" spp_param { pyramid_height: 2 pool: AVE }',
            {"x": [[[[1.0, 2.0], [4.0, 3.0]]]]},
            {"y": [[2.5, 1.0, 2.0, 4.0, 3.0]]},
        ),
        Case('type: "SPP" spp_param { pyramid_height: 3 }', {"x": random(2, 3, 8, 9)}),
        Case('type: "SPP" spp_param { pyramid_height: 1 pool: AVE }', {"x": random(2, 3, 3, 2)}),
    )

    def setup(self, bottom: Shapes) -> None:
        self.need("spp_param", "pyramid_height", expected="the number of levels, 1 or more")
        if self.param.pool == SPPMethod.STOCHASTIC:
            self.backward_reads = ("bottom",)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape = bottom[0]
        if len(shape) != 4:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}',
                "bottom",
                expected="4 axes: images, channels, height, width",
            )
        self._levels = [self._level(shape[2:], 1 << i) for i in range(self.param.pyramid_height)]
        outputs = [self.kernels.pool_output_shape(shape[2:], window) for window in self._levels]
        self._outs: list[Shape] = [(*shape[:2], *out) for out in outputs]
        if len(self._outs) == 1:
            return self._outs
        return [(shape[0], sum(math.prod(out[1:]) for out in self._outs))]

    def _level(self, spatial: Shape, bins: int) -> Window:
        """The window that cuts a plane into bins x bins."""
        kernel = tuple(-(-size // bins) for size in spatial)
        pad = tuple((k * bins - size + 1) // 2 for k, size in zip(kernel, spatial))
        if any(p >= k for p, k in zip(pad, kernel)):
            self.fail(
                f"a plane of {spatial[0]} x {spatial[1]} is too small for {bins} x {bins} bins",
                "spp_param",
                "pyramid_height",
                expected="fewer levels or larger planes",
            )
        if any(pad) and self.param.pool == SPPMethod.STOCHASTIC:
            self.fail(
                f"STOCHASTIC pooling has no pad, which {bins} x {bins} bins need on a plane of "
                f"{spatial[0]} x {spatial[1]}",
                "spp_param",
                "pool",
            )
        return Window(kernel, kernel, pad, ONE)

    def prepare(self) -> None:
        spatial = self.bottom_shapes[0][2:]
        self._pools = [
            PlanePool(self, PoolMethod(self.param.pool), window, spatial, out)
            for window, out in zip(self._levels, self._outs)
        ]
        self._part = np.empty(self.bottom_shapes[0] if len(self._outs) > 1 else 0, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        for pool, part in zip(self._pools, self._parts(top[0])):
            pool.forward(bottom[0], part)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        dx = bottom_diff[0]
        if dx is None:
            return
        for i, (pool, part) in enumerate(zip(self._pools, self._parts(top_diff[0]))):
            if i == 0:
                pool.backward(bottom[0], part, dx)
            else:
                pool.backward(bottom[0], part, self._part)
                np.add(dx, self._part, dx)

    def _parts(self, y: Array) -> list[Array]:
        """Each level's part of the top, in its own shape."""
        if y.ndim == 4:
            return [y]
        ends = np.cumsum([math.prod(out[1:]) for out in self._outs])
        columns = np.split(y, ends[:-1], axis=1)
        return [part.reshape(out) for part, out in zip(columns, self._outs)]
