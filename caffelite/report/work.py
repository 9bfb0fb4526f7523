"""How many multiply-adds a layer's forward pass takes.

Counted are the products with learned weights, as papers count them; biases, pooling, normalisation
and activations are left out. A layer of one's own may have a method
`multiply_adds(bottom_shapes, top_shapes)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from caffelite.blob import Shape
from caffelite.layers.base import Layer, Shapes

Counter = Callable[[Shape, Shapes, Shapes], int]


def _each_position_of_the_top(weight: Shape, bottom: Shapes, top: Shapes) -> int:
    """Every filter is applied at every position of the output: N · prod(H_out …) · |W|."""
    return sum(math.prod(t) // t[1] for t in top) * math.prod(weight)


def _each_position_of_the_bottom(weight: Shape, bottom: Shapes, top: Shapes) -> int:
    """A deconvolution spreads every position of its input: N · prod(H_in …) · |W|."""
    return sum(math.prod(b) // b[1] for b in bottom) * math.prod(weight)


def _each_row(weight: Shape, bottom: Shapes, top: Shapes) -> int:
    """y = W x for every sample: prod(top) / outputs · |W|."""
    outputs = math.prod(top[0])
    inputs = math.prod(bottom[0])
    rows = math.isqrt(outputs * inputs // max(1, math.prod(weight)))  # outputs·inputs = rows²·|W|
    return rows * math.prod(weight)


def _each_step(weight: Shape, bottom: Shapes, top: Shapes) -> int:
    """A recurrent layer's weights work at every step of every sequence: T · N · |W|."""
    return math.prod(bottom[0][:2]) * math.prod(weight)


COUNTERS: dict[str, Counter] = {
    "Convolution": _each_position_of_the_top,
    "ConvolutionDepthwise": _each_position_of_the_top,
    "DepthwiseConvolution": _each_position_of_the_top,
    "Deconvolution": _each_position_of_the_bottom,
    "InnerProduct": _each_row,
    "DropConnect": _each_row,
    "LSTM": _each_step,
    "RNN": _each_step,
}


def multiply_adds(layer: Layer, bottom: Shapes, top: Shapes) -> int:
    """The multiply-adds of one forward pass; 0 for layers without products with weights."""
    own = getattr(layer, "multiply_adds", None)
    if own is not None:
        return int(own(bottom, top))
    counter = COUNTERS.get(layer.type)
    if counter is None or not top or any(0 in shape for shape in (*bottom, *top)):
        return 0
    matrices = [d.shape for d in layer.declared if len(d.shape) > 1 and 0 not in d.shape]
    return sum(counter(shape, bottom, top) for shape in matrices)
