"""Layers that take products, sums and means over axes: fully connected, normalising, reducing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.layers.normalize_channels import EPS
from caffelite.layers.reduction import ReductionOp
from caffelite.onnx.dims import Dims, Extent
from caffelite.onnx.out.place import Place, says
from caffelite.onnx.out.shapes import true_axis


@says("InnerProduct", "DropConnect")
def inner_product(layer: Any, at: Place) -> None:
    x, p, top = at.bottoms[0], layer.param, at.tops[0]
    axis = true_axis(p.axis, len(at.shape))
    if not (axis == 1 and len(at.shape) == 2):
        x = at.op("Flatten", x, axis=axis)
    inputs = [at.param(0)] + ([at.param(1)] if p.bias_term else [])
    plain = len(at.top_dims[0]) == 2
    y = at.op("Gemm", x, *inputs, out=top if plain else None, transB=int(not layer.transposed))
    if not plain:
        at.reshape(y, at.top_dims[0], top)


def _channels_first(layer: Any, at: Place) -> tuple[str, bool]:
    """BatchNorm's bottom with at least two axes; was it given another shape for that?"""
    if len(at.shape) >= 2:
        return at.bottoms[0], False
    return at.reshape(at.bottoms[0], (Extent(), 1)), True


@says("BatchNorm")
def batch_norm(layer: Any, at: Place) -> None:
    stored = statistics(layer) if layer.stored else None
    _normalise(layer, at, stored, layer.param.eps)


@says("ScaledBatchNorm")
def scaled_batch_norm(layer: Any, at: Place) -> None:
    stored = statistics(layer) if layer.stored else None
    scale, shift = (layer.params[i].data for i in (3, 4))
    _normalise(layer, at, stored, layer.param.eps, (scale, shift))


@says("BN")
def bn(layer: Any, at: Place) -> None:
    scale, shift, *kept = (p.data.ravel() for p in layer.params)
    if layer.plain:
        lain = (layer.channels, *[1] * (len(at.shape) - 2))
        scaled = at.op("Mul", at.bottoms[0], at.param(0, lain))
        at.op("Add", scaled, at.param(1, lain), out=at.tops[0])
    else:
        stored = (kept[0], kept[1]) if layer.stored else None
        _normalise(layer, at, stored, layer._eps, (scale, shift))
    if len(at.tops) > 1:
        _statistics(at)


def _statistics(at: Place) -> None:
    """The batch's mean and variance as tops of their own."""
    x, axes, rank = at.bottoms[0], [0, *range(2, len(at.shape))], len(at.shape)
    mean = at.reduce("ReduceMean", x, axes, keep=True)
    off = at.op("Sub", x, mean)
    variance = at.reduce("ReduceMean", at.op("Mul", off, off), axes, keep=True)
    for value, top in zip((mean, variance), at.tops[1:]):
        if rank == 4:
            at.op("Identity", value, out=top)
        else:
            at.reshape(value, (1, at.shape[1], 1, 1), top)


Pair = tuple[np.ndarray, np.ndarray]


def _normalise(
    layer: Any, at: Place, stored: Pair | None, eps: float, line: Pair | None = None
) -> None:
    """Each channel's n = (x − μ)/√(v + eps) with the stored μ and v, or without them the batch's;
    then scale·n + shift, these being the `line`."""
    x, reshaped = _channels_first(layer, at)
    top = None if reshaped else at.tops[0]
    if stored is not None:
        mean, variance = stored
        scale, shift = line or (np.ones_like(mean), np.zeros_like(mean))
        y = at.op(
            "BatchNormalization", x, scale, shift, mean, variance, out=top, epsilon=float(eps)
        )
    else:
        rank = max(2, len(at.shape))
        y = normalised(at, x, [0, *range(2, rank)], eps, inside=True, out=None if line else top)
        if line:
            scale, shift = (v.reshape(-1, *[1] * (rank - 2)) for v in line)
            y = at.op("Add", at.op("Mul", y, scale), shift, out=top)
    if reshaped:
        at.reshape(y, at.top_dims[0], at.tops[0])


def statistics(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """A BatchNorm's mean and variance, freed of the factor that Caffe keeps."""
    mean, variance, factor = (p.data for p in layer.params[:3])
    scale = 0.0 if factor[0] == 0 else 1 / factor[0]
    return mean * scale, variance * scale


def normalised(
    at: Place, x: str, axes: list[int], eps: float, inside: bool, out: str | None
) -> str:
    """(x − μ)/√(v + eps), or with eps outside of the root."""
    centred = at.op("Sub", x, at.reduce("ReduceMean", x, axes, True))
    variance = at.reduce("ReduceMean", at.op("Mul", centred, centred), axes, True)
    if inside:
        deviation = at.op("Sqrt", at.op("Add", variance, float(eps)))
    else:
        deviation = at.op("Add", at.op("Sqrt", variance), float(eps))
    return at.op("Div", centred, deviation, out=out)


@says("MVN")
def mvn(layer: Any, at: Place) -> None:
    p, x, top = layer.param, at.bottoms[0], at.tops[0]
    axes = list(range(1 if p.across_channels else 2, len(at.shape)))
    if p.normalize_variance:
        normalised(at, x, axes, p.eps, inside=False, out=top)
    else:
        at.op("Sub", x, at.reduce("ReduceMean", x, axes, True), out=top)


@says("Normalize")
def normalize(layer: Any, at: Place) -> None:
    p, x, rank = layer.param, at.bottoms[0], len(at.shape)
    axes = list(range(1, rank)) if p.across_spatial else [1]
    squares = at.reduce("ReduceSum", at.op("Mul", x, x), axes, True)
    length = at.op("Sqrt", at.op("Add", squares, float(p.eps)))
    scale = at.param(0, () if p.channel_shared else (at.shape[1], *[1] * (rank - 2)))
    at.op("Mul", at.op("Div", x, length), scale, out=at.tops[0])


@says("NormalizeChannels")
def normalize_channels(layer: Any, at: Place) -> None:
    x, squares = at.bottoms[0], layer.norm == "L2"
    sizes = at.op("Mul", x, x) if squares else at.op("Abs", x)
    length = at.op("Add", at.reduce("ReduceSum", sizes, [1], True), EPS)
    if squares:
        length = at.op("Sqrt", length)
    at.op("Div", x, length, out=at.tops[0])
    if len(at.tops) > 1:
        at.op("Identity", length, out=at.tops[1])


@says("Softmax")
def softmax(layer: Any, at: Place) -> None:
    axis = true_axis(layer.param.axis, len(at.shape))
    at.op("Softmax", at.bottoms[0], out=at.tops[0], axis=axis)


@says("Reduction")
def reduction(layer: Any, at: Place) -> None:
    p, x, top = layer.param, at.bottoms[0], at.tops[0]
    axes = list(range(true_axis(p.axis, len(at.shape)), len(at.shape)))
    if p.operation == ReductionOp.ASUM:
        x = at.op("Abs", x)
    elif p.operation == ReductionOp.SUMSQ:
        x = at.op("Mul", x, x)
    kind = "ReduceMean" if p.operation == ReductionOp.MEAN else "ReduceSum"
    if p.coeff == 1:
        at.reduce(kind, x, axes, False, top)
    else:
        at.op("Mul", at.reduce(kind, x, axes, False), float(p.coeff), out=top)


@says("ArgMax")
def argmax(layer: Any, at: Place) -> None:
    """Of equal values Caffe takes the last, ONNX the first: so x is searched from behind."""
    p, x, k = layer.param, at.bottoms[0], layer.param.top_k
    has_axis = p.has("axis")
    axis = true_axis(p.axis, len(at.shape)) if has_axis else 1
    if not has_axis:
        x = at.op("Flatten", x, axis=1)
    count = at.shape[axis] if has_axis else int(np.prod(at.shape[1:]))
    if k == 1 and not p.out_max_val:
        index = at.op("ArgMax", x, axis=axis, keepdims=1, select_last_index=1)
        values = ""
    else:
        turned = at.slice(x, axis, -1, -(2**62), -1)
        values, index = at.ops("TopK", turned, [k], outs=[None, None], axis=axis)
        index = at.op("Sub", np.array(count - 1), index)
    if has_axis:
        if p.out_max_val:
            at.op("Identity", values, out=at.tops[0])
        else:
            at.cast(index, float, at.tops[0])
        return
    numbers = at.cast(index, float)
    both = at.op("Concat", numbers, values, axis=1) if p.out_max_val else numbers
    dims: Dims = at.top_dims[0]
    at.reshape(both, dims, at.tops[0])


@says("Maximum")
def maximum(layer: Any, at: Place) -> None:
    width = layer.bottom_shapes[0][3]
    maps = at.reshape(
        at.bottoms[0], (*at.bottom_dims[0][:2], math.prod(layer.bottom_shapes[0][2:]))
    )
    place = at.cast(at.op("ArgMax", maps, axis=2, keepdims=1), float)
    row = at.op("Floor", at.op("Div", place, float(width)))
    column = at.op("Sub", place, at.op("Mul", row, float(width)))
    value = at.reduce("ReduceMax", maps, [2], keep=True)
    found = at.op("Concat", column, row, value, axis=2)
    at.reshape(found, at.top_dims[0], at.tops[0])
