"""NdConvolution and NdPooling: windows over any number of axes, whose extents stand in shapes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from caffelite.layers.base import Arrays, Context, Diffs, Layer, Shapes, register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolution import Convolution
from caffelite.layers.convolving import PARAM as CONVOLUTION
from caffelite.layers.pooling import PARAM as POOLING
from caffelite.layers.pooling import PoolMethod
from caffelite.layers.pooling_nd import PoolingND
from caffelite.layers.windows import SHAPES
from caffelite.schema.net import LayerParameter

FORK = "video-caffe (chuckcho/video-caffe)"


def _least(name: str) -> int:
    return 0 if name == "pad_shape" else 1


def _sound(name: str, values: list[int]) -> bool:
    return bool(values) and all(_least(name) <= v <= 2**31 - 1 for v in values)


def with_sizes(spec: LayerParameter, group: str) -> LayerParameter:
    """The layer with the extents of its `kernel_shape`, `stride_shape` and `pad_shape` in the usual
    fields; places in the text go along. What is out of bounds `check_shapes` refuses."""
    result = spec.copy()
    target: Any = result.get(group)
    for name, usual in SHAPES.items():
        values = [int(v) for v in target.get(name).dim] if target.has(name) else []
        if not _sound(name, values):
            continue
        rest = target.specs[usual].rest
        setattr(target, usual, values[0] if rest else values)
        if rest:
            setattr(target, rest, values[1:])
        target._spans[usual] = target.places(name)
    return result


def check_shapes(layer: Layer, group: str, rank: int, needed: bool = True) -> None:
    """Refuse shapes that have not an extent for each of `rank` axes, or one out of bounds."""
    param: Any = layer.spec.get(group)
    if needed and not param.has("kernel_shape"):
        said = "kernel_shape: { dim: 3 dim: 3 dim: 3 }"
        layer.fail("kernel_shape is missing", group, expected=f"the extents of the window, {said}")
    for name in SHAPES:
        if not param.has(name):
            continue
        dims = param.get(name).dim
        if len(dims) != rank or not _sound(name, dims):
            layer.fail(
                f"{name} is {' x '.join(map(str, dims)) or 'empty'}",
                group,
                name,
                expected=f"an extent for each of the {rank} spatial axes, {_least(name)} or more",
            )


@register
class NdConvolution(Convolution):
    """As Convolution over any number of axes: `kernel_shape`, `stride_shape` (1) and `pad_shape`
    (0) have an extent for each.

    Gradients: as Convolution's.
    Shapes: x (N, C, D₁, …); W (M, C/g, kernel₁, …); b (M,); y (N, M, D₁', …).
    Source: video-caffe (chuckcho/video-caffe).
    """

    extension = FORK
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "NdConvolution" convolution_param { num_output: 1 kernel_shape { dim: 2 dim: 1 '
            "dim: 1 } stride_shape { dim: 2 dim: 1 dim: 1 } pad_shape { dim: 1 dim: 0 dim: 0 } }",
            # the pad, then the first frame; ten times the second, then the third
            {"x": [[[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]]]},
            {"y": [[[[[1.5, 2.5]], [[35.5, 46.5]]]]]},
            params=[[[[[[10.0]], [[1.0]]]]], [0.5]],
        ),
        Case(
            'type: "NdConvolution" convolution_param { num_output: 2 group: 2 bias_term: false '
            "kernel_shape { dim: 2 dim: 3 } }",
            {"x": random(2, 4, 3, 4)},
        ),
    )

    takes_shapes = True

    def __init__(self, spec: LayerParameter, context: Context | None = None) -> None:
        super().__init__(with_sizes(spec, CONVOLUTION), context)

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        return cls

    def setup(self, bottom: Shapes) -> None:
        axis = self.axis(self.param.axis, len(bottom[0]), CONVOLUTION, "axis")
        check_shapes(self, CONVOLUTION, len(bottom[0]) - axis - 1)
        super().setup(bottom)


@register
class NdPooling(PoolingND):
    """The maximum (MAX) or mean (AVE) of windows over any number of axes; `kernel_shape`,
    `stride_shape` (1) and `pad_shape` (0) have an extent for each. Zeros around the input count in
    a mean, those too over which a last window hangs. `global_pooling` makes the window the whole
    input.

    Gradient: of a maximum to the value that was taken; of a mean ∂L/∂y over the window's size.
    Shapes: as PoolingND's.
    Source: video-caffe (chuckcho/video-caffe), which has cuDNN do it.
    """

    extension = FORK
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "NdPooling" pooling_param { kernel_shape { dim: 1 dim: 2 dim: 2 } '
            "stride_shape { dim: 1 dim: 2 dim: 2 } }",
            {"x": [[[[[1.0, 2.0, 7.0], [4.0, 3.0, 0.0]], [[-1.0, -2.0, -3.0], [-4, -5, -6]]]]]},
            {"y": [[[[[4.0, 7.0]], [[-1.0, -3.0]]]]]},
        ),
        Case(
            'type: "NdPooling" pooling_param { pool: AVE kernel_shape { dim: 2 dim: 2 } '
            "stride_shape { dim: 2 dim: 2 } pad_shape { dim: 1 dim: 0 } }",
            # a row of zeros, then the first row; the second, then zeros
            {"x": [[[[1.0, 2.0, 8.0], [4.0, 6.0, 4.0]]]]},
            {"y": [[[[0.75, 2.0], [2.5, 1.0]]]]},
        ),
        Case(
            'type: "NdPooling" pooling_param { pool: AVE global_pooling: true }',
            {"x": [[[[[1.0, 2.0]], [[3.0, 6.0]]]]]},
            {"y": [[[[[3.0]]]]]},
        ),
        Case(
            'type: "NdPooling" pooling_param { pool: AVE kernel_shape { dim: 2 dim: 3 dim: 2 } }',
            {"x": random(2, 2, 3, 4, 3)},
        ),
    )
    methods = (PoolMethod.MAX, PoolMethod.AVE)
    takes_whole = True
    takes_shapes = True

    def __init__(self, spec: LayerParameter, context: Context | None = None) -> None:
        super().__init__(with_sizes(spec, POOLING), context)

    def setup(self, bottom: Shapes) -> None:
        whole = self.param.global_pooling
        check_shapes(self, POOLING, len(bottom[0]) - 2, needed=not whole)
        super().setup(bottom)

    def prepare(self) -> None:
        super().prepare()
        if self.param.pool == PoolMethod.AVE:
            self._big.fill(0)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        if self.param.pool == PoolMethod.MAX:
            return super().forward(bottom, top)
        self._big[self._inside] = bottom[0]
        np.copyto(top[0], self._big[self._taps[0]])
        for tap in self._taps[1:]:
            np.add(top[0], self._big[tap], out=top[0])
        np.divide(top[0], math.prod(self.window.kernel), out=top[0])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if self.param.pool == PoolMethod.MAX:
            return super().backward(top, top_diff, bottom, bottom_diff)
        if bottom_diff[0] is None:
            return
        np.divide(top_diff[0], math.prod(self.window.kernel), out=self._share)
        self._big_diff.fill(0)
        for tap in self._taps:
            self._big_diff[tap] += self._share
        np.copyto(bottom_diff[0], self._big_diff[self._inside])
