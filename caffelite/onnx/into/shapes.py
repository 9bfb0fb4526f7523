"""Nodes that move values about, reduce them, or normalise them."""

from __future__ import annotations

import itertools

import numpy as np

from caffelite.blob import Shape
from caffelite.onnx.into.reader import Node, Unsayable, number, reads


def positive(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis


def reshape_text(old: Shape, new: Shape) -> str:
    """A Reshape; the batch is copied where it stays, so that it may vary."""
    dims = list(new)
    if old and new and old[0] == new[0]:
        dims[0] = 0
    return "reshape_param { shape { " + " ".join(f"dim: {n}" for n in dims) + " } }"


@reads("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(node: Node) -> None:
    if node.shape() == node.out_shape():
        node.same()
    else:
        node.make("Reshape", reshape_text(node.shape(), node.out_shape()))


@reads("Transpose")
def transpose(node: Node) -> None:
    order = node.attr("perm", list(range(len(node.shape())))[::-1])
    node.make("Permute", "permute_param { " + " ".join(f"order: {i}" for i in order) + " }")


@reads("Concat")
def concat(node: Node) -> None:
    axis = positive(node.attr("axis"), len(node.shape()))
    bottoms = [node.bottom(i) for i in range(len(node.inputs))]
    node.make("Concat", f"concat_param {{ axis: {axis} }}", bottoms)


@reads("Split")
def split(node: Node) -> None:
    axis = positive(node.attr("axis", 0), len(node.shape()))
    sizes = [node.out_shape(i)[axis] for i in range(len(node.outputs))]
    points = "".join(f"slice_point: {p} " for p in list(itertools.accumulate(sizes))[:-1])
    text = f"slice_param {{ axis: {axis} {points}}}"
    node.reader.layer("Slice", [node.bottom()], text, node.outputs)
    node.reader.blobs.update({name: name for name in node.outputs})


@reads("Slice")
def slice_(node: Node) -> None:
    rank = len(node.shape())
    starts, ends = node.optional(1, "starts"), node.optional(2, "ends")
    axes = node.optional(3, "axes", list(range(len(starts))))
    steps = node.optional(4, "steps", [1] * len(starts))
    if any(s != 1 for s in steps):
        raise Unsayable("it takes every second value, or goes backwards")
    cuts = []
    for start, end, axis in zip(starts, ends, axes):
        axis = positive(axis, rank)
        first, last, _ = slice(start, end).indices(node.shape()[axis])
        if (first, last) != (0, node.shape()[axis]):
            cuts.append((axis, first, last, node.shape()[axis]))
    x = node.bottom()
    if not cuts:
        node.same()
    for k, (axis, first, last, size) in enumerate(cuts):
        end = k + 1 == len(cuts)
        wanted = node.outputs[0] if end else node.reader.fresh_blob(f"{node.outputs[0]}/cut{k}")
        points = [p for p in (first, last) if 0 < p < size]
        tops = [wanted]
        if first:
            tops.insert(0, node.reader.fresh_blob(f"{node.outputs[0]}/before{k}"))
        if last < size:
            tops.append(node.reader.fresh_blob(f"{node.outputs[0]}/behind{k}"))
        text = " ".join(f"slice_point: {p}" for p in points)
        node.reader.layer("Slice", [x], f"slice_param {{ axis: {axis} {text} }}", tops)
        node.reader.unread += [top for top in tops if top != wanted]
        x = wanted
    if cuts:
        node.reader.blobs[node.outputs[0]] = x


@reads("Resize", "Upsample")
def resize(node: Node) -> None:
    shape, out = node.shape(), node.out_shape()
    if len(shape) != 4 or shape[:2] != out[:2]:
        raise Unsayable("it resizes batch or channels")
    mode = node.attr("mode", "nearest")
    how = node.attr("coordinate_transformation_mode", "half_pixel")
    whole = all(b % a == 0 for a, b in zip(shape[2:], out[2:]))
    nearest = node.attr("nearest_mode", "round_prefer_floor")
    if node.proto.op_type == "Upsample":
        how, nearest = "asymmetric", "floor"
    if mode == "nearest" and whole:
        fits = (how == "asymmetric" and nearest == "floor") or (
            "half_pixel" in how and nearest.startswith("round")
        )
        if fits:
            h, w = out[2] // shape[2], out[3] // shape[3]
            node.make("Upsample", f"upsample_param {{ scale_h: {h} scale_w: {w} }}")
            return
    if mode == "linear" and how == "align_corners":
        node.make("Interp", f"interp_param {{ height: {out[2]} width: {out[3]} }}")
        return
    raise Unsayable(f"Caffe does not resize with mode {mode}, {how}, {nearest}")


@reads("BatchNormalization")
def batch_norm(node: Node) -> None:
    if node.attr("training_mode", 0):
        raise Unsayable("it trains (training_mode)")
    scale, shift, mean, variance = (
        node.value(i, name) for i, name in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    eps = number(node.attr("epsilon", 1e-5))
    text = f"batch_norm_param {{ use_global_stats: true eps: {eps} }}"
    plain = node.part("BatchNorm", text, [node.bottom()], [mean, variance, [1.0]])
    node.make("Scale", "scale_param { bias_term: true }", [plain], [scale, shift])


@reads("LRN")
def lrn(node: Node) -> None:
    if node.attr("size") % 2 == 0:
        raise Unsayable("its size is even")
    fields = [f"local_size: {node.attr('size')}"]
    for name, ours, default in (("alpha", "alpha", 1e-4), ("beta", "beta", 0.75), ("bias", "k", 1)):
        fields.append(f"{ours}: {number(node.attr(name, default))}")
    node.make("LRN", f"lrn_param {{ {' '.join(fields)} }}")


@reads("ReduceMean", "ReduceSum", "ReduceL1", "ReduceSumSquare")
def reduce(node: Node) -> None:
    rank = len(node.shape())
    axes = sorted(positive(a, rank) for a in node.optional(1, "axes", list(range(rank))))
    kinds = {"ReduceMean": "MEAN", "ReduceSum": "SUM", "ReduceL1": "ASUM"}
    operation = kinds.get(node.proto.op_type, "SUMSQ")
    if not axes or axes != list(range(axes[0], rank)):
        raise Unsayable(f"it reduces the axes {axes}; Caffe reduces the last ones")
    text = f"reduction_param {{ operation: {operation} axis: {axes[0]} }}"
    if not node.attr("keepdims", 1):
        node.make("Reduction", text)
        return
    reduced = node.part("Reduction", text, [node.bottom()])
    node.make("Reshape", reshape_text(node.shape()[: axes[0]], node.out_shape()), [reduced])


@reads("ArgMax")
def argmax(node: Node) -> None:
    raise Unsayable("its result is of whole numbers, and of equal values Caffe takes the last")


@reads("DepthToSpace")
def depth_to_space(node: Node) -> None:
    n, c, h, w = node.shape()
    b, deep = node.attr("blocksize"), c // node.attr("blocksize") ** 2
    if node.attr("mode", "DCR") == "DCR":
        split_, order = (n, b, b, deep, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split_, order = (n, deep, b, b, h, w), (0, 1, 4, 2, 5, 3)
    parts = node.part("Reshape", reshape_text((n,), split_), [node.bottom()])
    text = "permute_param { " + " ".join(f"order: {i}" for i in order) + " }"
    turned = node.part("Permute", text, [parts])
    node.make("Reshape", reshape_text((n,), node.out_shape()), [turned])


@reads("Gather")
def gather(node: Node) -> None:
    index, axis = node.value(1, "index"), positive(node.attr("axis", 0), len(node.shape()))
    if index.size != 1:
        raise Unsayable("it picks several places; Caffe picks samples only")
    at, size = int(np.ravel(index)[0]), node.shape()[axis]
    at = positive(at, size)
    top = node.reader.fresh_blob(f"{node.outputs[0]}/picked")
    if size == 1:
        top = node.bottom()
    else:
        names = ["before", "behind"]
        tops = [node.reader.fresh_blob(f"{node.outputs[0]}/{what}") for what in names]
        tops = [*tops[:1][: int(at > 0)], top, *tops[1:][: int(at + 1 < size)]]
        points = " ".join(f"slice_point: {p}" for p in (at, at + 1) if 0 < p < size)
        text = f"slice_param {{ axis: {axis} {points} }}"
        node.reader.layer("Slice", [node.bottom()], text, tops)
        node.reader.unread += [name for name in tops if name != top]
    node.make("Reshape", reshape_text(node.shape(), node.out_shape()), [top])
