"""Nodes that move a window: convolutions and poolings, and Pad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.kernels import Window, pool_output_shape
from caffelite.onnx.into.chain import Chain
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


@dataclass(frozen=True)
class _Axis:
    """One axis of a pooling: sizes before and after, the window, the pads, and Caffe's own pad,
    with how many of the first windows that makes too many."""

    size: int
    out: int
    kernel: int
    stride: int
    pads: tuple[int, int]
    pad: int = 0
    extra: int = 0

    @property
    def padded(self) -> int:
        return self.size + 2 * self.pad


def _pool_axes(node: Node) -> list[_Axis]:
    """The axes of a pooling, padded as Caffe can."""
    spatial, out = node.shape()[2:], node.out_shape()[2:]
    kernel = tuple(node.attr("kernel_shape"))
    stride = tuple(node.attr("strides", [1] * len(spatial)))
    if any(d != 1 for d in node.attr("dilations", [1])):
        raise Unsayable("it is dilated")
    pads = _pads(node, spatial, kernel, stride, (1,) * len(spatial))
    return [_axis(*of) for of in zip(spatial, out, kernel, stride, pads)]


def _axis(size: int, out: int, kernel: int, stride: int, pads: tuple[int, int]) -> _Axis:
    """Caffe pads both sides alike. Where that gives too many windows, the first or the last ones
    are cut off again."""
    for extra in range(kernel):
        pad = pads[0] + extra * stride
        if pad >= kernel or kernel > size + 2 * pad:
            break
        window = Window((kernel, 1), (stride, 1), (pad, 0), (1, 1))
        if pool_output_shape((size, 1), window, True)[0] >= extra + out:
            return _Axis(size, out, kernel, stride, pads, pad, extra)
    raise Unsayable(
        f"pads of {pads[0]} and {pads[1]} around {size} for a kernel of {kernel} cannot be said "
        "with Caffe's one pad, which is below the kernel"
    )


def _pool(chain: Chain, kind: str, rows: _Axis, columns: _Axis | None, counted: bool) -> Chain:
    """A Pooling over the last two axes; without `columns` over the last but one alone."""
    n, c, h, w = chain.shape
    cols = columns or _Axis(w, w, 1, 1, (0, 0))
    both = (rows, cols)
    fields = []
    for name, one, two, usual in (
        ("kernel", rows.kernel, cols.kernel, None),
        ("stride", rows.stride, cols.stride, 1),
        ("pad", rows.pad, cols.pad, 0),
    ):
        same = "kernel_size" if name == "kernel" else name
        if one != two or one != usual:
            fields.append(f"{same}: {one}" if one == two else f"{name}_h: {one} {name}_w: {two}")
    kernel, stride = (rows.kernel, cols.kernel), (rows.stride, cols.stride)
    window = Window(kernel, stride, (rows.pad, cols.pad), (1, 1))
    needed = tuple(a.extra + a.out for a in both)
    made = pool_output_shape((h, w), window, True)
    floor = pool_output_shape((h, w), window, False)
    if made != needed and floor == needed:
        fields.append("round_mode: FLOOR")
        made = floor
    chain.then("Pooling", f"pooling_param {{ pool: {kind} {' '.join(fields)} }}", (n, c, *made))
    for axis, of in ((2, rows), (3, cols)):
        chain.pick(axis, range(of.extra, of.extra + of.out))
    if kind == "AVE":
        counts = [_counts(a, counted) for a in both]
        ours, theirs = (np.outer(*(c[i] for c in counts)) for i in (0, 1))
        if not np.array_equal(ours, theirs):
            chain.scaled((ours / theirs)[None, None], True)
    return chain


def _counts(axis: _Axis, included: bool) -> tuple[Array, Array]:
    """What Caffe and ONNX divide by along one axis, at each place."""
    begin, end = axis.pads
    start = np.arange(axis.out) * axis.stride - begin
    caffe = np.minimum(start + axis.kernel, axis.size + axis.pad) - start
    if included:
        # what hangs over the end pad (ceil_mode) is not counted
        return caffe, np.minimum(start + axis.kernel, axis.size + end) - start
    return caffe, np.minimum(start + axis.kernel, axis.size) - np.maximum(start, 0)


@reads("MaxPool", "AveragePool", "LpPool")
def pooling(node: Node) -> None:
    """A Pooling; over one axis with a second one of 1, over three with two Poolings, since what is
    largest, and what is the mean, of a box is that of its planes. Where Caffe divides by another
    number than ONNX, a Scale of constants makes it right."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Unsayable("its second output counts through all planes")
    axes, chain, name = _pool_axes(node), Chain(node), node.proto.op_type
    kind, counted = "MAX" if name == "MaxPool" else "AVE", bool(node.attr("count_include_pad", 0))
    p = node.attr("p", 2) if name == "LpPool" else 0
    if p:
        if p != 2:
            raise Unsayable(f"its p is {p}")
        chain.power(2)
        counted = True
    n, c, *spatial = chain.shape
    if len(axes) == 1:
        _pool(chain.reshape((n, c, *spatial, 1)), kind, axes[0], None, counted)
    elif len(axes) == 2:
        _pool(chain, kind, axes[0], axes[1], counted)
    elif len(axes) == 3:
        d, h, w = spatial
        _pool(chain.reshape((n, c, d, h * w)), kind, axes[0], None, counted)
        _pool(chain.reshape((n, c * axes[0].out, h, w)), kind, axes[1], axes[2], counted)
    else:
        raise Unsayable(f"it has {len(axes)} spatial axes")
    if p:
        _rooted(chain, axes)
    chain.reshape(node.out_shape()).end()


def _rooted(chain: Chain, axes: list[_Axis]) -> None:
    """From means of squares to the root of their sums."""
    if any(min(_counts(a, True)[1]) != a.kernel for a in axes):
        raise Unsayable("a window hangs over the pads")
    chain.power(0.5, scale=float(np.prod([a.kernel for a in axes])))


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node) -> None:
    pool = "AVE" if "Average" in node.proto.op_type else "MAX"
    chain, out = Chain(node), node.out_shape()
    if len(chain.shape) < 3:
        raise Unsayable("its input has no spatial axes")
    if len(chain.shape) != 4:
        chain.reshape((*chain.shape[:2], 1, int(np.prod(chain.shape[2:]))))
    text = f"pooling_param {{ pool: {pool} global_pooling: true }}"
    chain.then("Pooling", text, (*chain.shape[:2], 1, 1)).reshape(out).end()


def pad_planes(node: Node, pads: list[tuple[int, int]]) -> None:
    """Zeros around planes: a convolution of each channel by itself with filters of one 1."""
    channels = node.shape()[1]
    ones = (1,) * len(pads)
    weight, same = widened(np.ones((channels, 1, *ones), np.float32), pads, ones)
    node.attrs["group"] = channels
    node.inputs = node.inputs[:1]
    _convolving(node, "Convolution", weight, channels, ones, same, ones)
