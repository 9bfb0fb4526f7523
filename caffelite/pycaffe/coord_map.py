"""caffe.coord_map: how the places of two blobs of a NetSpec relate, so that one can be cropped.

A map is (axis, scale, shift): place i of what a layer reads is place i·scale + shift of its top,
along all axes after `axis`; None stands for any. Values are arrays, one for each spatial axis, or
one for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from caffelite.errors import CaffeliteError, NetError, Problem

PASS_THROUGH_LAYERS = [
    *("AbsVal", "BatchNorm", "Bias", "BNLL", "Dropout", "Eltwise", "ELU", "Log", "LRN", "Exp"),
    *("MVN", "Power", "ReLU", "PReLU", "Scale", "Sigmoid", "Split", "TanH", "Threshold"),
]
"""Types whose tops have the places of their bottoms."""
Map = tuple[Any, Any, Any]
SAME: Map = (None, 1, 0)


class UndefinedMapException(CaffeliteError):
    """The layer has no map: what its top's places mean is not known."""


class AxisMismatchException(CaffeliteError):
    """Maps of different axes follow each other."""


class Mismatch(NetError, AssertionError, RuntimeError):
    """Tops that cannot be cropped to each other: what pycaffe raises, said more clearly."""


def conv_params(fn: Any) -> tuple[int, Any, Any, Any]:
    """Axis, stride, extent of the window with its dilation, and pad of a layer with windows."""
    params = _params(fn, "convolution_param", "pooling_param")
    sides = {f"{what}_{side}" for what in ("pad", "kernel", "stride") for side in "hw"}
    if found := sorted(sides & set(params)):
        raise Mismatch(
            Problem(
                f"{', '.join(found)}: cropping does not support legacy _h/_w params",
                hint="kernel_size, stride and pad may be lists",
            )
        )
    if "kernel_size" not in params:
        raise UndefinedMapException(f"a {fn.type_name} without kernel_size has no map")
    kernel = np.array(params["kernel_size"], ndmin=1)
    dilation, stride, pad = (
        np.array(params.get(name, default), ndmin=1)
        for name, default in (("dilation", 1), ("stride", 1), ("pad", 0))
    )
    return params.get("axis", 1), stride, (kernel - 1) * dilation + 1, pad


def crop_params(fn: Any) -> tuple[int, Any]:
    """Axis and offset of a Crop layer."""
    params = _params(fn, "crop_param")
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def _params(fn: Any, *messages: str) -> Any:
    """A layer's own fields, given by themselves or within their message."""
    for name in messages:
        if name in fn.params:
            return fn.params[name]
    return fn.params


def coord_map(fn: Any) -> Map:
    """The map of one layer. Raises UndefinedMapException if it has none."""
    kind = fn.type_name
    if kind in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if kind == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if kind in PASS_THROUGH_LAYERS:
        return SAME
    if kind == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    raise UndefinedMapException(f"what the places of a {kind} layer's top mean is not known")


def compose(base_map: Map, next_map: Map) -> Map:
    """One map after another: scales multiply, the second's shift is scaled by the first."""
    axis, scale, shift = base_map
    other, next_scale, next_shift = next_map
    if axis is None:
        axis = other
    elif other is not None and other != axis:
        raise AxisMismatchException(f"a map of axis {axis} and one of axis {other}")
    return axis, scale * next_scale, scale * next_shift + shift


def inverse(coord_map: Map) -> Map:
    """The map from top to bottom."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def coord_map_from_to(top_from: Any, top_to: Any) -> Map:
    """The map between two tops that go back to one blob: from there to `top_to`, and back from
    `top_from`. Raises RuntimeError if nothing connects them."""
    back = dict(_ancestors(top_from))
    for top, to in _ancestors(top_to):
        if top in back:
            return compose(to, inverse(back[top]))
    raise Mismatch("Could not compute map between tops; are they connected by spatial layers?")


def _ancestors(top: Any) -> Iterator[tuple[Any, Map]]:
    """A top, and the blobs that it is made of, each with the map from there; the nearest first.
    Beyond a layer without a map nothing is known."""
    queue, seen = [(top, SAME)], {top}
    while queue:
        here, so_far = queue.pop(0)
        yield here, so_far
        bottoms = here.fn.inputs
        if here.fn.type_name == "Crop":  # the second bottom only gives the size
            bottoms = bottoms[:1]
        if not bottoms:
            continue
        try:
            way = compose(so_far, coord_map(here.fn))
        except UndefinedMapException:
            continue
        for bottom in bottoms:
            if bottom not in seen:
                seen.add(bottom)
                queue.append((bottom, way))


def crop(top_from: Any, top_to: Any) -> Any:
    """A Crop layer that cuts `top_from` to the places of `top_to`. Raises AssertionError where the
    scales differ, or the offset is negative or not whole."""
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    if not np.all(scale == 1):
        raise Mismatch(f"scale mismatch on crop (a = {scale})")
    if not np.all(shift <= 0):
        raise Mismatch(f"cannot crop negative offset (b = {shift})")
    if not np.all(np.round(shift) == shift):
        raise Mismatch(f"cannot crop noninteger offset (b = {shift})")
    from caffelite.pycaffe import layers

    offset = (-np.round(shift).astype(int)).reshape(-1).tolist()
    place = {"offset": offset} if axis is None else {"axis": axis + 1, "offset": offset}
    return layers.Crop(top_from, top_to, crop_param=place)
