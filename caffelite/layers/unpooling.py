"""Unpooling: max pooling undone, as DeconvNet writes it."""

from __future__ import annotations

from enum import IntEnum

from caffelite.blob import Shape
from caffelite.layers.base import Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.upsample import Upsample
from caffelite.schema.common import NO_CHOICE, Engine
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "unpooling_param"
FOR_NO_MASK = "with a mask the values' places are known"


class UnpoolMethod(IntEnum):
    """Where values go."""

    MAX = 0
    AVE = 1
    TILE = 2


class UnpoolingParameter(LayerMessage, field=PARAM, number=14400):
    """The size of the top; the windows of the pooling that is undone."""

    unpool: UnpoolMethod = field(
        1, UnpoolMethod, default=UnpoolMethod.MAX, doc="MAX, the only one that is followed"
    )
    kernel_size: int = field(2, "uint32", idle=FOR_NO_MASK)
    stride: int = field(3, "uint32", default=1, idle=FOR_NO_MASK)
    pad: int = field(4, "uint32", default=0, most=0, idle="0 is all it can be")
    kernel_h: int = field(5, "uint32", idle=FOR_NO_MASK)
    kernel_w: int = field(6, "uint32", idle=FOR_NO_MASK)
    stride_h: int = field(7, "uint32", idle=FOR_NO_MASK)
    stride_w: int = field(8, "uint32", idle=FOR_NO_MASK)
    pad_h: int = field(9, "uint32", default=0, most=0, idle="0 is all it can be")
    pad_w: int = field(10, "uint32", default=0, most=0, idle="0 is all it can be")
    engine: Engine = field(11, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)
    unpool_size: int = field(12, "uint32", least=1, doc="height and width of the top")
    unpool_h: int = field(13, "uint32", least=1, doc="height of the top")
    unpool_w: int = field(14, "uint32", least=1, doc="width of the top")


@register
class Unpooling(Upsample):
    """y[m_i] = x_i in each channel of each image, 0 elsewhere, where m is the mask that Pooling
    gives as its second top: each value goes back to where it came from. Where places repeat, the
    last value stands. Other ways of unpooling, and a layer without a mask, are refused.

    Gradient: ∂L/∂x_i = ∂L/∂y[m_i], none for the mask (as in the fork, also for a value that another
    one overwrote).
    Shapes: x and mask (N, C, H, W), top (N, C, height, width).
    Source: Noh, Hong & Han 2015, DeconvNet (HyeonwooNoh/caffe), where unpooling_param is 44, of V1
    layers.
    """

    bottoms = (2, 2)
    extension = "DeconvNet (HyeonwooNoh/caffe, there unpooling_param is 44)"
    param: UnpoolingParameter = param_of(UnpoolingParameter)  # type: ignore[assignment]
    cases = (
        Case(
            'type: "Unpooling" unpooling_param { kernel_size: 2 stride: 2 unpool_size: 2 }',
            {"x": [[[[5.0]], [[6.0]]]], "mask": [[[[1.0]], [[2.0]]]]},
            {"y": [[[[0.0, 5.0], [0.0, 0.0]], [[0.0, 0.0], [6.0, 0.0]]]]},
        ),
        Case(
            'type: "Unpooling" unpooling_param { kernel_size: 2 unpool_h: 3 unpool_w: 2 }',
            {"x": random(2, 1, 1, 2), "mask": [[[[5.0, 0.0]]], [[[2.0, 3.0]]]]},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self._by_mask, self._factors = True, (1, 1)
        if p.unpool != UnpoolMethod.MAX:
            self.fail(f"unpool is {p.unpool.name}", PARAM, "unpool", expected="MAX")
        sides = [name for name in ("unpool_h", "unpool_w") if p.has(name)]
        if p.has("unpool_size") == (len(sides) == 2) or len(sides) == 1:
            self.fail(
                "the size is given twice" if p.has("unpool_size") else "the size is missing",
                *([PARAM] if self.spec.has(PARAM) else []),
                expected="unpool_size, or unpool_h and unpool_w",
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        p, shape = self.param, bottom[0]
        if len(shape) != 4:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x H x W")
        self.same_shapes(bottom)
        square = p.has("unpool_size")
        self._size = (p.unpool_size,) * 2 if square else (p.unpool_h, p.unpool_w)
        return [(*shape[:2], *self._size)]
