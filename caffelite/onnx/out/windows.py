"""Layers that move a window: convolutions, poolings and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.blob import Shape
from caffelite.kernels import Window
from caffelite.layers.lrn import NormRegion
from caffelite.layers.pooling import PoolMethod
from caffelite.onnx.dims import Dim, Dims, Extent
from caffelite.onnx.out.place import Place, Unsayable, says


def _images(axis: int, dims: Dims) -> Dims:
    """The dims with the axes before the channels made one, and at least one axis after them."""
    lead, rest = dims[:axis], dims[axis:]
    count: Dim = Extent()
    if all(isinstance(d, int) for d in lead):
        count = math.prod(d for d in lead if isinstance(d, int))
    return (count, *rest, *([1] if len(rest) == 1 else []))


def _over(at: Place, index: int, axis: int, kind: str, inputs: list[Any], **attrs: Any) -> None:
    """A windowed operator on bottom `index`, in the form that ONNX wants: one axis of images, then
    channels, then one spatial axis or more."""
    x, top, dims = at.bottoms[index], at.tops[index], at.bottom_dims[index]
    if axis == 1 and len(dims) > 2:
        at.op(kind, x, *inputs, out=top, **attrs)
        return
    flat = at.reshape(x, _images(axis, dims))
    at.reshape(at.op(kind, flat, *inputs, **attrs), at.top_dims[index], top)


def _window(layer: Any) -> dict[str, list[int]]:
    """A window's attributes, those that say something only."""
    w: Window = layer.window
    if not w.kernel:
        return {"kernel_shape": [1]}
    attrs = {"kernel_shape": list(w.kernel), "strides": list(w.stride)}
    if any(w.pad):
        attrs["pads"] = [*w.pad, *w.pad]
    if any(d != 1 for d in w.dilation):
        attrs["dilations"] = list(w.dilation)
    return attrs


def _check_rank(layer: Any) -> None:
    rank = len(layer.window.kernel)
    if rank > 3:
        raise Unsayable(f"it has {rank} spatial axes; ONNX's runtimes take at most 3")


@says(
    "Convolution", "Convolution3D", "NdConvolution", "DepthwiseConvolution", "ConvolutionDepthwise"
)
def convolution(layer: Any, at: Place) -> None:
    convolve(layer, at, "Conv")


@says("Deconvolution", "Deconvolution3D")
def deconvolution(layer: Any, at: Place) -> None:
    convolve(layer, at, "ConvTranspose")


def convolve(layer: Any, at: Place, kind: str, before: Shape = (), after: Shape = ()) -> None:
    """`before` and `after`: the pads of the sides of each axis, where they differ."""
    _check_rank(layer)
    weight = layer.params[0].data.shape
    plain = len(weight) == 2  # no spatial axes: one is made
    inputs = [at.param(0, (*weight, 1) if plain else weight)] + (
        [at.param(1)] if layer.param.bias_term else []
    )
    attrs = _window(layer)
    if before or after:
        attrs["pads"] = [*before, *after]
    pads = attrs.get("pads", [])
    for index in range(len(at.bottoms)):
        if kind == "Conv" and layer.window.taps == 1 and any(pads):
            # OpenCV 5.0 leaves out the pads of a kernel of one tap: they are made first
            attrs.pop("pads", None)
            at.bottoms[index] = _padded(at, index, pads)
            at.bottom_dims[index] = _padded_dims(at.bottom_dims[index], pads)
        _over(at, index, layer.channel_axis, kind, inputs, group=layer.group, **attrs)


def _padded(at: Place, index: int, pads: list[int]) -> str:
    """Bottom `index` with zeros around its last axes: all starts, then all ends."""
    axes = len(pads) // 2
    lead = [0] * (len(at.bottom_dims[index]) - axes)
    return at.op(
        "Pad", at.bottoms[index], [*lead, *pads[:axes], *lead, *pads[axes:]], mode="constant"
    )


def _padded_dims(dims: Dims, pads: list[int]) -> Dims:
    """Its dims then; those of windows are numbers."""
    axes = len(pads) // 2
    lead, last = dims[: len(dims) - axes], dims[len(dims) - axes :]
    both = zip(last, pads[:axes], pads[axes:])
    return (*lead, *(d + a + b if isinstance(d, int) else d for d, a, b in both))


@says("Im2col")
def im2col(layer: Any, at: Place) -> None:
    """A convolution whose filters each pick one tap of one channel."""
    _check_rank(layer)
    taps, axis = layer.window.taps, layer.channel_axis
    channels = at.shape[axis]
    one = np.eye(taps, dtype=np.float32).reshape(taps, 1, *layer.window.kernel)
    weight = np.tile(one, (channels, *[1] * (one.ndim - 1)))
    _over(at, 0, axis, "Conv", [weight], group=channels, **_window(layer))


def hanging(spatial: Shape, out: Shape, window: Window) -> list[int]:
    """How far beyond the image the last window reaches, along each axis; 0 if it does not."""
    axes = zip(spatial, out, window.kernel, window.stride, window.pad)
    return [max((n - 1) * s + k - size - p, 0) for size, n, k, s, p in axes]


def max_pool(at: Place, x: str, window: Window, ends: list[int], outs: list[str | None]) -> None:
    """The pads are explicit: that is what all runtimes agree about."""
    at.ops(
        "MaxPool",
        x,
        outs=outs,
        kernel_shape=list(window.kernel),
        strides=list(window.stride),
        pads=[*window.pad, *ends],
    )


def ave_pool(at: Place, x: str, window: Window, ends: list[int], out: str | None) -> str:
    """Caffe's mean counts the pads, but not what hangs over them.

    Without pads: end pads that are not counted. With pads that no window hangs over: all of them
    counted. Else the pads are made zeros first, and only what hangs over is left uncounted."""
    attrs: dict[str, Any] = {"kernel_shape": list(window.kernel), "strides": list(window.stride)}
    pad = list(window.pad)
    if not any(pad):
        return at.op("AveragePool", x, out=out, pads=[0, 0, *ends], **attrs)
    if all(e <= p for e, p in zip(ends, pad)):
        return at.op("AveragePool", x, out=out, pads=[*pad, *ends], count_include_pad=1, **attrs)
    padded = at.op("Pad", x, [0, 0, *pad, 0, 0, *pad], mode="constant")
    over = [max(e - p, 0) for e, p in zip(ends, pad)]
    return at.op("AveragePool", padded, out=out, pads=[0, 0, *over], **attrs)


def pool(at: Place, method: PoolMethod, x: str, window: Window, spatial: Shape, out: Shape) -> str:
    """One pooling of x; the name of what comes out."""
    ends = hanging(spatial, out, window)
    result = at.writer.fresh(f"{at.layer.name}/pool")
    if method == PoolMethod.MAX:
        max_pool(at, x, window, ends, [result])
        return result
    if method == PoolMethod.AVE:
        return ave_pool(at, x, window, ends, result)
    # in phase TEST the expected draw: Σx² / Σx, 0 where Σx is not above 0
    squares = ave_pool(at, at.op("Mul", x, x), window, ends, None)
    means = ave_pool(at, x, window, ends, None)
    positive = at.op("Greater", means, 0.0)
    quotient = at.op("Div", squares, at.op("Where", positive, means, 1.0))
    return at.op("Where", positive, quotient, 0.0, out=result)


@says("Pooling")
def pooling(layer: Any, at: Place) -> None:
    method, x, top = layer.param.pool, at.bottoms[0], at.tops[0]
    spatial, out = layer.bottom_shapes[0][2:], layer.top_shapes[0][2:]
    window: Window = layer.window
    if len(at.tops) > 1:
        numbers = at.writer.fresh(f"{layer.name}/indices")
        max_pool(at, x, window, hanging(spatial, out, window), [top, numbers])
        # ONNX counts through all images and channels, Caffe within each plane
        places = at.op("Mod", numbers, np.array(spatial[0] * spatial[1]))
        at.cast(places, float, at.tops[1])
    elif layer.param.global_pooling and method != PoolMethod.STOCHASTIC:
        kind = "GlobalMaxPool" if method == PoolMethod.MAX else "GlobalAveragePool"
        at.op(kind, x, out=top)
    elif method == PoolMethod.MAX:
        attrs = {"kernel_shape": list(window.kernel), "strides": list(window.stride)}
        pads = [*window.pad, *hanging(spatial, out, window)]
        at.op("MaxPool", x, out=top, pads=pads, **attrs)
    elif method == PoolMethod.AVE:
        ave_pool(at, x, window, hanging(spatial, out, window), top)
    else:
        at.op("Identity", pool(at, method, x, window, spatial, out), out=top)


@says("PoolingND", "NdPooling")
def pooling_nd(layer: Any, at: Place) -> None:
    window: Window = layer.window
    if layer.param.pool == PoolMethod.AVE:
        pads = [*window.pad, *layer.hang]
        size, steps = list(window.kernel), list(window.stride)
        at.op(
            "AveragePool",
            at.bottoms[0],
            out=at.tops[0],
            kernel_shape=size,
            strides=steps,
            pads=pads,
            count_include_pad=1,
        )
        return
    at.op(
        "MaxPool",
        at.bottoms[0],
        out=at.tops[0],
        kernel_shape=list(window.kernel),
        strides=list(window.stride),
        dilations=list(window.dilation),
        pads=[*window.pad, *layer.hang],
    )


@says("Pooling3D")
def pooling3d(layer: Any, at: Place) -> None:
    """The planes, then the frames, whose windows hang over at the end alone."""
    (images, c, frames, *_), after = at.bottom_dims[0], at.top_dims[0][2]
    spatial, size = layer.bottom_shapes[0][3:], math.prod(layer._plane)
    if not isinstance(frames, int) or not isinstance(after, int):
        raise Unsayable("its frames are the batch; --fixed knows their number")
    method, channels = layer.param.pool, layer.bottom_shapes[0][1]
    x = at.reshape(at.bottoms[0], (images, channels * frames, *spatial))
    y = pool(at, method, x, layer.window, spatial, layer._plane)
    y = at.reshape(y, (images, c, frames, size))
    y = pool(at, method, y, layer._frames, (frames, size), (after, size))
    at.reshape(y, at.top_dims[0], at.tops[0])


@says("SPP")
def spp(layer: Any, at: Place) -> None:
    x, spatial, parts = at.bottoms[0], layer.bottom_shapes[0][2:], []
    method = layer.param.pool
    for level in range(layer.param.pyramid_height):
        bins = 2**level
        kernel = tuple(-(-size // bins) for size in spatial)
        pad = tuple((k * bins - size + 1) // 2 for k, size in zip(kernel, spatial))
        window = Window(kernel, kernel, pad, (1, 1))
        out = layer.kernels.pool_output_shape(spatial, window)
        parts.append(pool(at, method, x, window, spatial, out))
    if len(parts) == 1:
        at.op("Identity", parts[0], out=at.tops[0])
    else:
        at.op("Concat", *(at.op("Flatten", p, axis=1) for p in parts), out=at.tops[0], axis=1)


@says("LRN")
def lrn(layer: Any, at: Place) -> None:
    p, x, top = layer.param, at.bottoms[0], at.tops[0]
    if p.norm_region == NormRegion.ACROSS_CHANNELS:
        at.op("LRN", x, out=top, alpha=p.alpha, beta=p.beta, bias=p.k, size=p.local_size)
        return
    n = p.local_size
    window, spatial = Window.of((n, n), pad=n // 2), at.shape[2:]
    mean = ave_pool(at, at.op("Mul", x, x), window, hanging(spatial, spatial, window), None)
    scale = at.op("Add", at.op("Mul", mean, float(p.alpha)), 1.0)
    at.op("Mul", x, at.op("Pow", scale, -float(p.beta)), out=top)
