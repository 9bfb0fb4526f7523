"""Nodes that move a window: convolutions and poolings, and Pad."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.kernels import Window, pool_output_shape
from caffelite.onnx.into.reader import Node, Unsayable, reads


def _pads(node: Node, spatial: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Any:
    """The pads (begin, end) along each axis."""
    rank, auto = len(spatial), node.attr("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID", ""):
        pads = list(node.attr("pads", [0] * 2 * rank))
        if auto == "VALID":
            pads = [0] * 2 * rank
        return list(zip(pads[:rank], pads[rank:]))
    found = []
    for size, k, s, d in zip(spatial, kernel, stride, dilation):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        small, large = total // 2, total - total // 2
        found.append((small, large) if auto == "SAME_UPPER" else (large, small))
    return found


def _each(name: str, values: Shape | list[int]) -> str:
    """A repeated field, once if all are the same."""
    values = list(values)
    values = values[:1] if len(set(values)) == 1 else values
    return " ".join(f"{name}: {n}" for n in values)


def widened(weight: Array, pads: list[tuple[int, int]], dilation: Shape) -> tuple[Array, Shape]:
    """Filters with zeros added, so that one pad for both sides does: weight and pads.

    A pad of 0 before and 1 behind is a pad of 1 on both sides for filters that begin with a 0."""
    grow = [(0, 0)] * (weight.ndim - len(pads))
    same = []
    for (begin, end), d in zip(pads, dilation):
        if begin < 0 or end < 0:
            raise Unsayable("it has negative pads")
        if (end - begin) % d:
            raise Unsayable("its pads differ by no multiple of the dilation")
        grow.append((max(end - begin, 0) // d, max(begin - end, 0) // d))
        same.append(max(begin, end))
    return np.pad(weight, grow), tuple(same)


@reads("Conv")
def convolution(node: Node) -> None:
    weight, spatial = node.value(1, "filter"), node.shape()[2:]
    rank = len(spatial)
    kernel = weight.shape[2:]
    stride = tuple(node.attr("strides", [1] * rank))
    dilation = tuple(node.attr("dilations", [1] * rank))
    pads = _pads(node, spatial, kernel, stride, dilation)
    weight, pad = widened(weight, pads, dilation)
    _convolving(node, "Convolution", weight, weight.shape[0], stride, pad, dilation)


@reads("ConvTranspose")
def deconvolution(node: Node) -> None:
    weight, spatial = node.value(1, "filter"), node.shape()[2:]
    rank = len(spatial)
    stride = tuple(node.attr("strides", [1] * rank))
    dilation = tuple(node.attr("dilations", [1] * rank))
    if node.attr("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or node.attr("output_shape"):
        raise Unsayable("its pads follow from auto_pad or output_shape")
    begin_end = list(node.attr("pads", [0] * 2 * rank))
    more = node.attr("output_padding", [0] * rank)
    grow, pad = [(0, 0), (0, 0)], []
    for begin, end, extra, d in zip(begin_end[:rank], begin_end[rank:], more, dilation):
        # zeros behind the filter make the output longer at its end, zeros before at its start
        missing = begin - end + extra
        if missing % d:
            raise Unsayable("its pads differ by no multiple of the dilation")
        grow.append((max(-missing, 0) // d, max(missing, 0) // d))
        pad.append(begin + max(-missing, 0))
    outputs = weight.shape[1] * node.attr("group", 1)
    weight = np.pad(weight, grow)
    _convolving(node, "Deconvolution", weight, outputs, stride, tuple(pad), dilation)


def _convolving(
    node: Node, kind: str, weight: Array, outputs: int, stride: Shape, pad: Shape, dilation: Shape
) -> None:
    group, params = node.attr("group", 1), [weight]
    if node.has(2):
        params.append(node.value(2, "bias"))
    fields = [f"num_output: {outputs}", _each("kernel_size", weight.shape[2:])]
    for name, values, default in (
        ("stride", stride, 1),
        ("pad", pad, 0),
        ("dilation", dilation, 1),
    ):
        if any(v != default for v in values):
            fields.append(_each(name, values))
    if group != 1:
        fields.append(f"group: {group}")
    if len(params) == 1:
        fields.append("bias_term: false")
    node.make(kind, f"convolution_param {{ {' '.join(fields)} }}", params=params)


def _pooling(node: Node) -> tuple[Window, Shape, Shape, list[tuple[int, int]]]:
    """The window with the pads before, the planes' shapes before and after, and all pads."""
    spatial, out = node.shape()[2:], node.out_shape()[2:]
    if len(spatial) != 2:
        raise Unsayable(f"it has {len(spatial)} spatial axes; Caffe's Pooling has 2")
    kernel = tuple(node.attr("kernel_shape"))
    stride = tuple(node.attr("strides", [1, 1]))
    if any(d != 1 for d in node.attr("dilations", [1, 1])):
        raise Unsayable("it is dilated")
    pads = _pads(node, spatial, kernel, stride, (1, 1))
    return Window(kernel, stride, tuple(b for b, _ in pads), (1, 1)), spatial, out, pads


def _pool_text(window: Window, spatial: Shape, out: Shape) -> str:
    """The fields of a window that gives the planes' shape `out`."""
    fields = []
    for name, (h, w) in (("kernel", window.kernel), ("stride", window.stride), ("pad", window.pad)):
        both = "kernel_size" if name == "kernel" else name
        if (name, h, w) not in (("stride", 1, 1), ("pad", 0, 0)):
            fields.append(f"{both}: {h}" if h == w else f"{name}_h: {h} {name}_w: {w}")
    if any(p >= k for p, k in zip(window.pad, window.kernel)):
        raise Unsayable("a pad is as large as the kernel")
    if any(k > n + 2 * p for k, n, p in zip(window.kernel, spatial, window.pad)):
        raise Unsayable("its kernel is larger than the padded input")
    if pool_output_shape(spatial, window, True) == out:
        return " ".join(fields)
    if pool_output_shape(spatial, window, False) == out:
        return " ".join([*fields, "round_mode: FLOOR"])
    raise Unsayable(f"its pads make {out} of {spatial}, which Caffe's one pad cannot")


@reads("MaxPool")
def max_pool(node: Node) -> None:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Unsayable("its second output counts through all planes")
    window, spatial, out, _ = _pooling(node)
    node.make("Pooling", f"pooling_param {{ pool: MAX {_pool_text(window, spatial, out)} }}")


@reads("AveragePool")
def average_pool(node: Node) -> None:
    """Where Caffe divides by another number than ONNX, a Scale of constants makes it right."""
    window, spatial, out, pads = _pooling(node)
    text = f"pooling_param {{ pool: AVE {_pool_text(window, spatial, out)} }}"
    included = bool(node.attr("count_include_pad", 0))
    axes = zip(spatial, out, window.kernel, window.stride, pads)
    counts = [_counts(*axis, included) for axis in axes]
    ours, theirs = (np.outer(*(c[i] for c in counts)) for i in (0, 1))
    if np.array_equal(ours, theirs):
        node.make("Pooling", text)
        return
    mean = node.part("Pooling", text, [node.bottom()])
    node.make("Scale", "scale_param { axis: 2 num_axes: 2 }", [mean], [ours / theirs])


def _counts(
    size: int, out: int, kernel: int, stride: int, pads: tuple[int, int], included: bool
) -> tuple[Array, Array]:
    """What Caffe and ONNX divide by along one axis, at each place."""
    begin, end = pads
    start = np.arange(out) * stride - begin
    caffe = np.minimum(start + kernel, size + begin) - start
    if included:
        # what hangs over the end pad (ceil_mode) is not counted
        return caffe, np.minimum(start + kernel, size + end) - start
    return caffe, np.minimum(start + kernel, size) - np.maximum(start, 0)


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node) -> None:
    if len(node.shape()) != 4:
        raise Unsayable("Caffe's Pooling has 2 spatial axes")
    pool = "AVE" if "Average" in node.proto.op_type else "MAX"
    node.make("Pooling", f"pooling_param {{ pool: {pool} global_pooling: true }}")


@reads("Pad")
def pad(node: Node) -> None:
    """Zeros around: a convolution of each channel by itself with filters of one 1."""
    if node.attr("mode", "constant") != "constant":
        raise Unsayable(f"its mode is {node.attr('mode')}; Caffe pads with zeros")
    value = node.value(2, "value") if node.has(2) else np.array(node.attr("value", 0.0))
    if value.any():
        raise Unsayable(f"it pads with {float(value.reshape(-1)[0]):g}; Caffe pads with zeros")
    rank, given = len(node.shape()), node.optional(1, "pads")
    axes = node.value(3, "axes").tolist() if node.has(3) else list(range(rank))
    pads = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        pads[axis] = given[i], given[i + len(axes)]
    if not any(itertools.chain(*pads)):
        node.same()
        return
    if rank < 3 or any(itertools.chain(*pads[:2])):
        raise Unsayable("it pads the batch or the channels")
    channels = node.shape()[1]
    one = np.ones((channels, 1, *[1] * (rank - 2)), np.float32)
    weight, same = widened(one, pads[2:], (1,) * (rank - 2))
    node.attrs["group"] = channels
    node.inputs = node.inputs[:1]
    ones = (1,) * (rank - 2)
    _convolving(node, "Convolution", weight, channels, ones, same, ones)
