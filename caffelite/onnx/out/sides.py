"""Windows of forks: pads that differ from side to side, means that leave the pads out."""

from __future__ import annotations

from typing import Any

from caffelite.layers.pooling import PoolMethod
from caffelite.onnx.out.place import Place, Unsayable, says
from caffelite.onnx.out.windows import convolve


@says("PaddedConvolution")
def padded_convolution(layer: Any, at: Place) -> None:
    above, below, left, right = layer._pads
    convolve(layer, at, "Conv", (above, left), (below, right))


@says("PaddedPooling")
def padded_pooling(layer: Any, at: Place) -> None:
    """AVE counts the pads, but not what hangs over them: there the pads are made zeros first. The
    other two methods leave out both."""
    x, window = at.bottoms[0], layer.window
    above, below, left, right = layer._pads
    before, after = [above, left], [below, right]
    size, out = layer.bottom_shapes[0][2:], layer.top_shapes[0][2:]
    if layer.param.pool == PoolMethod.AVE and any(layer._pads):
        x = at.op("Pad", x, [0, 0, *before, 0, 0, *after], mode="constant")
        size = tuple(n + a + b for n, a, b in zip(size, before, after))
        before = [0, 0]
    starts = [(n - 1) * s for n, s in zip(out, window.stride)]
    if any(start >= n + b for start, n, b in zip(starts, size, before)):
        raise Unsayable("its last window lies outside of the plane")
    ends = [max(t + k - n - b, 0) for t, k, n, b in zip(starts, window.kernel, size, before)]
    kind = "MaxPool" if layer.param.pool == PoolMethod.MAX else "AveragePool"
    at.op(
        kind,
        x,
        out=at.tops[0],
        kernel_shape=list(window.kernel),
        strides=list(window.stride),
        pads=[*before, *ends],
    )
