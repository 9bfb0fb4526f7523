"""Layers that move values about: joining, cutting, reshaping, resizing, picking."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx.dims import Dim, Extent
from caffelite.onnx.out.place import BIG, Place, Unsayable, says


def true_axis(axis: int, rank: int) -> int:
    """A possibly negative axis, counted from the front."""
    return axis + rank if axis < 0 else axis


@says("Concat")
def concat(layer: Any, at: Place) -> None:
    p = layer.param
    axis = true_axis(p.concat_dim if p.has("concat_dim") else p.axis, len(at.shape))
    at.op("Concat", *at.bottoms, out=at.tops[0], axis=axis)


@says("Split")
def split(layer: Any, at: Place) -> None:
    for top in at.tops:
        at.op("Identity", at.bottoms[0], out=top)


@says("Gather", "Scatter")
def passing(layer: Any, at: Place) -> None:
    for bottom, top in zip(at.bottoms, at.tops):
        at.op("Identity", bottom, out=top)


@says("Silence")
def silence(layer: Any, at: Place) -> None:
    """Nothing reads what it takes."""


@says("Slice")
def slice_(layer: Any, at: Place) -> None:
    p, x = layer.param, at.bottoms[0]
    axis = true_axis(p.slice_dim if p.has("slice_dim") else p.axis, len(at.shape))
    parts = [dims[axis] for dims in at.top_dims]
    if all(isinstance(n, int) for n in parts) and len(parts) > 1:
        at.ops("Split", x, [int(str(n)) for n in parts], outs=at.tops, axis=axis)
        return
    start = 0
    for i, (n, top) in enumerate(zip(parts, at.tops)):
        last = i + 1 == len(parts)
        if not last and not isinstance(n, int):
            raise Unsayable("it cuts the batch into equal parts; --fixed knows their size")
        end = BIG if last or not isinstance(n, int) else start + n
        at.slice(x, axis, start, end, out=top)
        start = end


@says("Crop")
def crop(layer: Any, at: Place) -> None:
    p, x, rank = layer.param, at.bottoms[0], len(at.shape)
    first = true_axis(p.axis, rank)
    offsets = list(p.offset) or [0]
    offsets = offsets * (rank - first) if len(offsets) == 1 else offsets
    axes, starts, ends = [], [], []
    for axis, offset in enumerate(offsets, first):
        have, wanted = at.bottom_dims[0][axis], at.bottom_dims[1][axis]
        if have == wanted and not offset:
            continue
        if not isinstance(wanted, int):
            raise Unsayable("it crops along the batch; --fixed knows its size")
        axes.append(axis)
        starts.append(offset)
        ends.append(offset + wanted)
    if axes:
        at.op("Slice", x, starts, ends, axes, out=at.tops[0])
    else:
        at.op("Identity", x, out=at.tops[0])


@says("Reshape", "Flatten")
def reshape(layer: Any, at: Place) -> None:
    at.reshape(at.bottoms[0], at.top_dims[0], at.tops[0])


@says("Permute")
def permute(layer: Any, at: Place) -> None:
    order = list(layer.param.order)
    order += [axis for axis in range(len(at.shape)) if axis not in order]
    at.op("Transpose", at.bottoms[0], out=at.tops[0], perm=order)


@says("Tiling")
def tiling(layer: Any, at: Place) -> None:
    side = layer.param.tile_dim
    at.op("DepthToSpace", at.bottoms[0], out=at.tops[0], blocksize=side, mode="CRD")


@says("ShuffleChannel")
def shuffle_channel(layer: Any, at: Place) -> None:
    dims, group = at.bottom_dims[0], layer.param.group
    channels = at.shape[1]
    grouped = at.reshape(at.bottoms[0], (dims[0], group, channels // group, *dims[2:]))
    order = [0, 2, 1, *range(3, len(dims) + 1)]
    at.reshape(at.op("Transpose", grouped, perm=order), dims, at.tops[0])


@says("Tile")
def tile(layer: Any, at: Place) -> None:
    axis = true_axis(layer.param.axis, len(at.shape))
    repeats = [layer.param.tiles if i == axis else 1 for i in range(len(at.shape))]
    at.op("Tile", at.bottoms[0], repeats, out=at.tops[0])


@says("Interp")
def interp(layer: Any, at: Place) -> None:
    p, x = layer.param, at.bottoms[0]
    if p.pad_beg or p.pad_end:
        starts = [-p.pad_beg, -p.pad_beg]
        ends = [n + p.pad_end for n in at.shape[2:]]
        x = at.op("Slice", x, starts, ends, [2, 3])
    size = layer.top_shapes[0][2:]
    if 1 in layer._cut_size:
        # OpenCV 5.0's Resize reads beyond a line of one value: so as the products that it is
        lines = at.op("MatMul", np.asarray(layer._a, np.float32), x)
        at.op("MatMul", lines, np.asarray(layer._b.T, np.float32), out=at.tops[0])
        return
    sizes: Any = [*at.bottom_dims[0][:2], *size]
    if not all(isinstance(n, int) for n in sizes):
        sizes = at.op("Concat", at.extents(x, 0, 2), list(size), axis=0)
    at.op(
        "Resize",
        x,
        "",
        "",
        sizes,
        out=at.tops[0],
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )


@says("Upsample", "Unpooling")
def upsample(layer: Any, at: Place) -> None:
    x, top = at.bottoms[0], at.tops[0]
    *lead, height, width = at.bottom_dims[0]
    if len(at.bottoms) == 1:
        factors = [b / a for a, b in zip(layer.bottom_shapes[0], layer.top_shapes[0])]
        at.op(
            "Resize",
            x,
            "",
            np.array(factors, np.float32),
            out=top,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return
    rows, columns = layer.top_shapes[0][2:]
    small = height * width  # type: ignore[operator]
    planes: Dim = Extent()
    if all(isinstance(n, int) for n in lead):
        planes = int(lead[0]) * int(lead[1])  # type: ignore[arg-type]
    values = at.reshape(x, (planes, small))
    places = at.cast(at.reshape(at.bottoms[1], (planes, small)), int)
    shape = at.op("Concat", at.extents(values, 0, 1), [rows * columns], axis=0)
    zeros = at.op("Expand", 0.0, shape)
    filled = at.op("ScatterElements", zeros, places, values, axis=1)
    at.reshape(filled, at.top_dims[0], top)


@says("Embed")
def embed(layer: Any, at: Place) -> None:
    index = at.cast(at.bottoms[0], int)
    if layer.param.bias_term:
        at.op("Add", at.op("Gather", at.param(0), index, axis=0), at.param(1), out=at.tops[0])
    else:
        at.op("Gather", at.param(0), index, out=at.tops[0], axis=0)


@says("BatchReindex")
def batch_reindex(layer: Any, at: Place) -> None:
    at.op("Gather", at.bottoms[0], at.cast(at.bottoms[1], int), out=at.tops[0], axis=0)


@says("Filter")
def filter_(layer: Any, at: Place) -> None:
    *data, selector = at.bottoms
    flat = at.reshape(selector, at.bottom_dims[-1][:1])
    chosen = at.op("Not", at.op("Equal", flat, 0.0))
    for x, top in zip(data, at.tops):
        at.op("Compress", x, chosen, out=top, axis=0)


@says("Parameter")
def parameter(layer: Any, at: Place) -> None:
    at.fixed(layer.params[0].data, at.tops[0])


@says("DummyData")
def dummy_data(layer: Any, at: Place) -> None:
    fillers = layer.param.data_filler
    for i, (top, shape) in enumerate(zip(at.tops, layer.top_shapes)):
        filler = fillers[i if len(fillers) > 1 else 0] if fillers else None
        if filler is not None and filler.type != "constant":
            raise Unsayable(f"it draws from {filler.type}; an Input in its place can be said")
        at.fixed(np.full(shape, filler.value if filler is not None else 0.0, np.float32), top)


@says("MaskProposal")
def mask_proposal(layer: Any, at: Place) -> None:
    at.reshape(at.bottoms[0], at.top_dims[0], at.tops[0])


@says("MaskPooling")
def mask_pooling(layer: Any, at: Place) -> None:
    at.op("Mul", *at.bottoms, out=at.tops[0])
