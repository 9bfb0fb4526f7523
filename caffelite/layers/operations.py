"""How many operations a layer does, by OpenCV's count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from caffelite.blob import Shape
from caffelite.layers.base import Layer

PER_VALUE = {
    **{"ReLU": 1, "PReLU": 1, "TanH": 1, "AbsVal": 1, "Sigmoid": 3, "ELU": 2, "BNLL": 5},
    **{"Softmax": 4, "BatchNorm": 3, "Scale": 2, "Exp": 3},
}
"""Operations for each value that such a layer reads."""


def opencv_operations(layer: Layer, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> int:
    """Floating-point operations of a layer with bottoms and tops of these shapes, as OpenCV counts
    them: for a convolution of k x l over C channels 2klC + 1 for each value that it makes, of
    groups as of one; for a product of n values 3n; for a pooling one for each place of the window,
    and one more for a mean. 0 for types that are not known here.
    Source: the numbers of OpenCV 4.14, which these are in twelve published nets."""
    kind, made = layer.type, _values(tops)
    if kind in PER_VALUE:
        return PER_VALUE[kind] * _values(bottoms[:1])
    if kind in ("Convolution", "ConvolutionDepthwise", "DepthwiseConvolution"):
        # of all channels, also where each group reads a part of them
        return made * (2 * _window(layer) * bottoms[0][1] + 1)
    if kind == "Deconvolution":
        return 2 * _window(layer) * tops[0][1] * _values(bottoms)
    if kind == "InnerProduct":
        return 3 * int(layer.params[0].data.shape[1]) * made
    if kind == "Eltwise":
        return len(bottoms) * math.prod(bottoms[0])
    if kind == "Power":
        return (2 if layer.spec.get("power_param").power == 1 else 10) * made
    if kind == "Pooling":
        param = layer.spec.get("pooling_param")
        taps = _taps(param, bottoms[0])
        return made * (taps + int(param.pool.name == "AVE"))
    return 0


def _window(layer: Layer) -> int:
    """How many values a filter has in a plane."""
    shape: Shape = layer.params[0].data.shape[2:]
    return math.prod(shape)


def _taps(param: Any, bottom: Shape) -> int:
    """How many values a window counts for; a global one as one."""
    if param.global_pooling:
        return 1
    if param.has("kernel_h"):
        return int(param.kernel_h * param.kernel_w)
    size = param.kernel_size if isinstance(param.kernel_size, list) else [param.kernel_size]
    taps: int = math.prod(size if len(size) > 1 else size * (len(bottom) - 2))
    return taps


def _values(shapes: Sequence[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)
