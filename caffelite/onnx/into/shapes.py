"""Nodes that move values about, reduce them, or normalise them."""

from __future__ import annotations

import itertools

from caffelite.onnx.into.chain import Chain, positive, reshape_text
from caffelite.onnx.into.reader import Node, Unsayable, number, reads


@reads("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(node: Node) -> None:
    if node.shape() == node.out_shape():
        node.same()
        return
    target = node.inputs[1] if node.proto.op_type == "Reshape" and node.has(1) else ""
    if target in node.reader.written and not node.attr("allowzero", 0):
        dims = node.value(1, "shape").tolist()  # 0 and -1 are Caffe's too
        text = " ".join(f"dim: {n}" for n in dims)
        node.make("Reshape", f"reshape_param {{ shape {{ {text} }} }}")
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
    shape = node.shape()
    starts, ends = node.optional(1, "starts"), node.optional(2, "ends")
    axes = node.optional(3, "axes", list(range(len(starts))))
    steps = node.optional(4, "steps", [1] * len(starts))
    cuts = []
    for start, end, axis, step in zip(starts, ends, axes, steps):
        axis = positive(axis, len(shape))
        places = list(range(shape[axis]))[start:end:step]
        if not places:
            raise Unsayable("nothing is left of it")
        if places != list(range(shape[axis])):
            cuts.append((axis, places))
    _picked(node, cuts)


def _picked(node: Node, cuts: list[tuple[int, list[int]]]) -> None:
    """The values at these places along some axes, in the node's output shape."""
    chain = Chain(node)
    for k, (axis, places) in enumerate(cuts):
        after = (*chain.shape[:axis], len(places), *chain.shape[axis + 1 :])
        chain.pick(axis, places, named=k + 1 == len(cuts) and after == node.out_shape())
    chain.reshape(node.out_shape()).end()


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


@reads("SpaceToDepth")
def space_to_depth(node: Node) -> None:
    n, c, h, w = node.shape()
    b = node.attr("blocksize")
    order = (0, 3, 5, 1, 2, 4) if node.attr("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    chain = Chain(node).reshape((n, c, h // b, b, w // b, b)).permute(order)
    chain.reshape(node.out_shape()).end()


@reads("Gather")
def gather(node: Node) -> None:
    if node.reader.is_constant(node.inputs[0]):
        _embedded(node)
        return
    index, axis = node.value(1, "index"), positive(node.attr("axis", 0), len(node.shape()))
    size = node.shape()[axis]
    _picked(node, [(axis, [positive(int(i), size) for i in index.reshape(-1)])])


def _embedded(node: Node) -> None:
    """Rows of a constant table: Embed."""
    table = node.value(0, "table")
    if node.attr("axis", 0) != 0 or table.ndim != 2 or table.dtype.kind != "f":
        raise Unsayable("it picks from a constant that is no table of rows")
    text = f"input_dim: {len(table)} num_output: {table.shape[1]} bias_term: false"
    node.make("Embed", f"embed_param {{ {text} }}", [node.bottom(1)], [table])


@reads("Tile", "Expand")
def tile(node: Node) -> None:
    """A Tile along each axis that is repeated."""
    chain, out = Chain(node), node.out_shape()
    if not chain.shape or 0 in out:
        raise Unsayable("it repeats a scalar, or is empty")
    chain.expanded(out).end()
