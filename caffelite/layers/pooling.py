"""Pooling: planes made smaller by taking the maximum, the mean or a random value of each window."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar, cast

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.kernels import Window
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, registry, show
from caffelite.layers.cases import Case, random
from caffelite.layers.windows import check_fit, has_frames, padded, read_window
from caffelite.schema.common import NO_CHOICE, BlobShape, Engine, Phase
from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage, LayerParameter

PARAM = "pooling_param"
ONE = (1, 1)
AGAIN = "naibaf7's fork:"


class PoolMethod(IntEnum):
    """What a window is reduced to."""

    MAX = 0
    AVE = 1
    STOCHASTIC = 2
    AVE_EXC_PAD = 3


class RoundMode(IntEnum):
    """Whether a window may hang over the lower and right edge."""

    CEIL = 0
    FLOOR = 1


class PoolingParameter(LayerMessage, field=PARAM, number=121):
    """The window of a pooling layer and what it is reduced to."""

    pool: PoolMethod = field(
        1, PoolMethod, default=PoolMethod.MAX, doc="maximum, mean or a value drawn at random"
    )
    pad: int = field(
        4, "uint32", default=0, rest="pads", doc="rows and columns added on every side"
    )
    pad_h: int = field(9, "uint32", default=0, doc="rows added above and below")
    pad_w: int = field(10, "uint32", default=0, doc="columns added left and right")
    kernel_size: int = field(2, "uint32", least=1, rest="kernel_sizes", doc="side of the window")
    kernel_h: int = field(5, "uint32", least=1, doc="height of the window")
    kernel_w: int = field(6, "uint32", least=1, doc="width of the window")
    stride: int = field(3, "uint32", default=1, least=1, rest="strides", doc="step of the window")
    stride_h: int = field(7, "uint32", least=1, doc="step down")
    stride_w: int = field(8, "uint32", least=1, doc="step to the right")
    engine: Engine = field(11, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)
    global_pooling: bool = field(12, "bool", default=False, doc="the window is the whole plane")
    round_mode: RoundMode = field(
        13, RoundMode, default=RoundMode.CEIL, doc="FLOOR: no window hangs over the edge"
    )
    pad_l: int = field(16, "int32", default=0, doc="Synopsys: columns added left")
    pad_r: int = field(17, "int32", default=0, doc="Synopsys: columns added right")
    pad_t: int = field(18, "int32", default=0, doc="Synopsys: rows added above")
    pad_b: int = field(19, "int32", default=0, doc="Synopsys: rows added below")
    pad_shape: BlobShape = field(7777, BlobShape, doc="NdPooling: the pad of each axis")
    kernel_shape: BlobShape = field(7778, BlobShape, doc="NdPooling: the window's extents")
    stride_shape: BlobShape = field(7779, BlobShape, doc="NdPooling: the step along each axis")
    kernel_depth: int = field(1005, "uint32", least=1, doc="C3D (there 5): frames of a box")
    temporal_stride: int = field(
        1006, "uint32", default=1, least=1, doc="C3D (there 6): step along the frames"
    )
    ceil_mode: bool = field(
        1013,
        "bool",
        default=True,
        doc="extension: false is round_mode FLOOR (BVLC/caffe#3057, where its number is 13)",
    )
    kernel_sizes: list[int] = repeated(
        1102, "uint32", least=1, doc=f"{AGAIN} kernel_size given again for each further axis"
    )
    strides: list[int] = repeated(
        1103, "uint32", least=1, doc=f"{AGAIN} stride given again for each further axis"
    )
    pads: list[int] = repeated(1104, "uint32", doc=f"{AGAIN} pad given again for each further axis")
    dilation: list[int] = repeated(
        1113, "uint32", least=1, doc=f"{AGAIN} (there 13) step between the values of a window"
    )


def _any_axes(spec: LayerParameter) -> bool:
    """Is it the pooling of naibaf7's fork, over any number of axes? A window that names two axes,
    and one that is not a maximum's and lies close, are Caffe's own."""
    p: PoolingParameter = spec.get(PARAM)
    named = 1 + max(len(p.kernel_sizes), len(p.strides), len(p.pads), len(p.dilation) - 1)
    if named > 2 or any(step > 1 for step in p.dilation):
        return True
    plain = p.pool != PoolMethod.MAX or p.global_pooling or len(spec.top) > 1
    return bool(p.dilation) and named == 1 and not plain


def close(layer: Layer) -> None:
    """Refuse a dilation, which PoolingND alone has."""
    if any(step > 1 for step in layer.spec.get(PARAM).dilation):
        layer.fail("a dilation is for Pooling and PoolingND", PARAM, "dilation", expected="1")


class PlanePool:
    """One way of pooling with the arrays it keeps from forward to backward."""

    def __init__(
        self, layer: Layer, method: PoolMethod, window: Window, spatial: Shape, out: Shape
    ) -> None:
        self.layer, self.method, self.window, self.spatial = layer, method, window, spatial
        self.draws = method == PoolMethod.STOCHASTIC and layer.phase == Phase.TRAIN
        self.picks = self.draws or method == PoolMethod.MAX
        self._out, self._taps = out, cast(Any, None)
        if self.draws:
            self.uniform = np.empty(out, layer.dtype)

    @property
    def taps(self) -> Any:
        """Which tap of its window each output was. Memory is taken when it is first asked for: a
        pass that no backward pass follows needs none."""
        if self._taps is None:
            self._taps = np.zeros(self._out, self.layer.kernels.tap_type(self.window))
        return self._taps

    def forward(self, x: Array, y: Array) -> None:
        kernels = self.layer.kernels
        if self.method == PoolMethod.MAX:
            kernels.max_pool_forward(x, y, self.taps, self.window)
        elif self.method == PoolMethod.AVE:
            kernels.ave_pool_forward(x, y, self.window)
        elif self.draws:
            self.layer.rng.random(dtype=self.layer.dtype, out=self.uniform)
            kernels.stochastic_pool_forward(x, self.uniform, y, self.taps, self.window)
        else:
            kernels.stochastic_pool_test(x, y, self.window)

    def backward(self, x: Array, dy: Array, dx: Array) -> None:
        if self.picks:
            self.layer.kernels.max_pool_backward(dy, self.taps, dx, self.window)
        elif self.method == PoolMethod.AVE:
            self.layer.kernels.ave_pool_backward(dy, dx, self.window)
        else:
            self.layer.kernels.stochastic_pool_test_backward(x, dy, dx, self.window)

    def mask(self, mask: Array) -> None:
        self.layer.kernels.max_pool_mask(self.taps, mask, self.window, self.spatial)


@register
class Pooling(Layer):
    """y = the maximum (MAX) or mean (AVE) of each window, or one value of it drawn in proportion to
    its size (STOCHASTIC; in phase TEST the expected draw Σx² / Σx).

    Shapes: x is (N, C, H, W), y is (N, C, H', W') with H' = ⌈(H + 2·pad − kernel) / stride⌉ + 1,
    rounded down with `round_mode: FLOOR`; where there is a pad, a last window that would start
    beyond the image is left out. A second top (MAX only) is the mask: h·W + w of each maximum.

    Unlike what one would expect, AVE counts pads in what it divides by, but not what hangs over the
    lower or right pad; and CEIL, not FLOOR, is the default. The maximum of a window with a NaN is
    NaN, where Caffe on a CPU passes over it.

    Gradient: MAX and STOCHASTIC pass ∂L/∂y to the value that was taken (of equal ones the first,
    row by row), AVE passes an equal part to each value; of the expected draw ∂y/∂x is
    (2x − y) / Σx. Caffe has STOCHASTIC on GPUs only.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/pooling.html; Zeiler and Fergus,
    Stochastic Pooling for Regularization of Deep Convolutional Neural Networks, 2013
    """

    tops = (1, 2)
    backward_reads: tuple[str, ...] = ()
    param: PoolingParameter = param_of(PoolingParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "Pooling" pooling_param { pool: MAX kernel_size: 2 stride: 2 }',
            {"x": [[[[1.0, 2.0, 5.0, 3.0], [4.0, 3.0, 0.0, 6.0]]]]},
            {"y": [[[[4.0, 6.0]]]], "mask": [[[[4.0, 7.0]]]]},
        ),
        Case(
            'type: "Pooling" pooling_param { pool: AVE kernel_size: 2 stride: 2 pad: 1 }',
            {"x": [[[[4.0, 8.0], [12.0, 16.0]]]]},
            {"y": [[[[1.0, 2.0], [3.0, 4.0]]]]},
            note="zeros of the pad count",
        ),
        Case(
            'type: "Pooling" pooling_param { pool: AVE kernel_size: 2 stride: 2 }',
            {"x": [[[[1.0, 2.0, 9.0], [3.0, 6.0, 5.0]]]]},
            {"y": [[[[3.0, 7.0]]]]},
            note="the last window hangs over the edge",
        ),
        Case(
            'type: "Pooling" pooling_param { pool: AVE kernel_size: 2 stride: 2 '
            "round_mode: FLOOR }",
            {"x": [[[[1.0, 2.0, 9.0], [3.0, 6.0, 5.0]]]]},
            {"y": [[[[3.0]]]]},
        ),
        Case(
            'type: "Pooling" pooling_param { pool: AVE kernel_size: 4 stride: 3 }',
            {"x": [[[[1.0, 2.0, 9.0], [3.0, 6.0, 3.0]]]]},
            {"y": [[[[4.0]]]]},
            note="a window larger than the plane, rounded up to one output",
        ),
        Case(
            'type: "Pooling" pooling_param { kernel_size: 4 stride: 2 pad: 1 }',
            {"x": [[[[1.0, -2.0], [-3.0, 6.0]]]]},
            {"y": [[[[6.0]]]], "mask": [[[[3.0]]]]},
        ),
        Case(
            'type: "Pooling" pooling_param { pool: AVE global_pooling: true }',
            {"x": [[[[1.0, 2.0, 9.0], [3.0, 6.0, 3.0]]]]},
            {"y": [[[[4.0]]]]},
        ),
        Case(
            'type: "Pooling" pooling_param { kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 '
            "pad_h: 1 pad_w: 1 ceil_mode: false }",
            {"x": random(2, 3, 5, 4)},
        ),
        Case(
            'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }',
            {"x": [[[[0.0, 0.0, 5.0, 0.0], [4.0, 0.0, 0.0, 0.0]]]]},
            {"y": [[[[4.0, 5.0]]]]},
            gradient=False,  # a small change of a zero would give it a chance
            note="a value of 0 is never drawn",
        ),
        Case(
            'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 }',
            {"x": [[[[1.0, 2.0], [0.0, 3.0]]]]},
            {"y": [[[[14 / 6]]]]},
            phase=Phase.TEST,
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        if _any_axes(spec):
            return registry["PoolingND"]
        if has_frames(spec, PARAM):
            return registry["Pooling3D"]
        exact = spec.get(PARAM).pool == PoolMethod.AVE_EXC_PAD
        return padded(cls, spec, PARAM, "PaddedPooling", exact)

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        close(self)
        if len(self.spec.top) > 1 and p.pool != PoolMethod.MAX:
            self.fail("only MAX has a mask to put in a second top", "top", expected="one top")
        ceil = p.round_mode == RoundMode.CEIL
        if p.has("round_mode") and p.has("ceil_mode") and p.ceil_mode != ceil:
            self.fail("round_mode and ceil_mode contradict each other", PARAM, "ceil_mode")
        self.ceil = p.ceil_mode and ceil
        if p.global_pooling:
            for name in ("kernel_size", "kernel_h", "kernel_w"):
                if p.has(name):
                    self.fail(f"global_pooling and {name} are both given", PARAM, name)
        self.window = window = read_window(self, PARAM, 2, ONE if p.global_pooling else None)
        if p.global_pooling and (window.stride, window.pad) != (ONE, (0, 0)):
            self.fail("global_pooling goes with pad 0 and stride 1 only", PARAM, "global_pooling")
        if p.pool == PoolMethod.STOCHASTIC:
            self.backward_reads = ("bottom",)
            if any(window.pad):
                self.fail("STOCHASTIC pooling has no pad", PARAM, "pad")
        for side, kernel, pad in zip("hw", window.kernel, window.pad):
            if pad >= kernel:
                self.fail(
                    f"a pad of {pad} is not below the kernel of {kernel}",
                    PARAM,
                    "pad" if p.has("pad") else f"pad_{side}",
                    expected=f"a pad from 0 to {kernel - 1}",
                )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape, p = bottom[0], self.param
        if len(shape) != 4:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(shape)}',
                "bottom",
                expected="4 axes: images, channels, height, width",
            )
        spatial = shape[2:]
        if p.global_pooling:
            self.window = Window(spatial, ONE, (0, 0), ONE)
        outputs = self.kernels.pool_output_shape(spatial, self.window, self.ceil)
        hint = "global_pooling: true takes the whole plane, whatever its size"
        check_fit(self, PARAM, self.window, spatial, outputs, hint)
        for size, count, stride, pad in zip(spatial, outputs, self.window.stride, self.window.pad):
            start = (count - 1) * stride - pad
            if start >= size:
                self.fail(
                    f"the last window would start at {start}, outside of a plane of "
                    f"{spatial[0]} x {spatial[1]}",
                    PARAM,
                    "stride" if p.has("stride") else "stride_h",
                    hint="round_mode: FLOOR leaves that window out",
                )
        return [(*shape[:2], *outputs)] * max(1, len(self.spec.top))

    def prepare(self) -> None:
        spatial, out = self.bottom_shapes[0][2:], self.top_shapes[0]
        self._pool = PlanePool(self, self.param.pool, self.window, spatial, out)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        self._pool.forward(bottom[0], top[0])
        if len(top) > 1:
            self._pool.mask(top[1])

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            self._pool.backward(bottom[0], top_diff[0], bottom_diff[0])
