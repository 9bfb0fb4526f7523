"""Nodes that are a matrix along each axis: Resize, Pad, CumSum, products with a matrix on the left.

What a Resize or a Pad does along one axis does not depend on the values, so it is a matrix, and
InnerProduct says it exactly. ONNX Runtime says which one: it is what comes of the unit vectors.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from caffelite.blob import Array
from caffelite.onnx.into.chain import Chain, positive
from caffelite.onnx.into.reader import Node, Unsayable, reads
from caffelite.onnx.runtime import Runtime

LARGEST = 1 << 22
"""The most values that a matrix may have."""


def matrix_of(node: Node, kind: str, size: int, constants: list[Any], **attrs: Any) -> Array:
    """The matrix (new, old) of a node that works along axis 2 of (1, unit vectors, size, 1)."""
    if size * size > LARGEST:
        raise Unsayable(f"{size} values along an axis make too large a matrix")
    names, tensors = ["x"], []
    for i, value in enumerate(constants):
        names.append("" if value is None else f"c{i}")
        if value is not None:
            tensors.append(numpy_helper.from_array(value, f"c{i}"))
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], **attrs)],
        "matrix",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size, size, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.reader.opset)])
    model.ir_version = 8
    unit = np.eye(size, dtype=np.float32).reshape(1, size, size, 1)
    return np.asarray(Runtime(model).run({"x": unit})["y"][0, :, :, 0].T)


@reads("Resize", "Upsample")
def resize(node: Node) -> None:
    """Upsample or Interp where these say it, else a matrix along each axis."""
    shape, out = node.shape(), node.out_shape()
    mode = node.attr("mode", "nearest")
    how = node.attr("coordinate_transformation_mode", "half_pixel")
    nearest = node.attr("nearest_mode", "round_prefer_floor")
    if node.proto.op_type == "Upsample" or node.reader.opset < 11:
        how, nearest = "asymmetric", "floor"
    if how == "tf_crop_and_resize":
        raise Unsayable("it cuts out a part first (tf_crop_and_resize)")
    images = len(shape) == 4 and shape[:2] == out[:2]
    scales, asked = _scales(node, shape, out)
    if images and mode == "nearest" and all(b % a == 0 for a, b in zip(shape[2:], out[2:])):
        h, w = out[2] // shape[2], out[3] // shape[3]
        floor = how == "asymmetric" and nearest == "floor"
        middle = how in ("half_pixel", "pytorch_half_pixel") and nearest.startswith("round")
        if (floor or middle) and [1, 1, h, w] == scales:
            node.make("Upsample", f"upsample_param {{ scale_h: {h} scale_w: {w} }}")
            return
    # Caffe has the corners where the sizes are; with scales ONNX may have them elsewhere
    corners = how == "align_corners" and [a * s for a, s in zip(shape, scales)] == list(out)
    if images and mode in ("linear", "bilinear") and corners:
        node.make("Interp", f"interp_param {{ height: {out[2]} width: {out[3]} }}")
        return
    chain = Chain(node)
    for axis, (size, new, scale) in enumerate(zip(shape, out, scales)):
        if size != new or scale != 1:
            chain.along(axis, _resizing(node, size, new, scale, asked))
    chain.end()


def _scales(node: Node, shape: Any, out: Any) -> tuple[list[float], bool]:
    """The factor along each axis, and whether sizes are given instead."""
    old = node.reader.opset < 11 or node.proto.op_type == "Upsample"
    at = 1 if old else 2
    if not old and node.has(3):
        return [b / a for a, b in zip(shape, out)], True
    given = node.optional(at, "scales") if node.has(at) or "scales" in node.attrs else None
    if given is None:
        raise Unsayable("it has neither scales nor sizes")
    if "axes" in node.attrs:
        full = [1.0] * len(shape)
        for axis, scale in zip(node.attr("axes"), given):
            full[positive(axis, len(shape))] = scale
        given = full
    return list(given), False


def _resizing(node: Node, size: int, new: int, scale: float, asked: bool) -> Array:
    """What it does along one axis."""
    kept = {k: v for k, v in node.attrs.items() if k not in ("axes", "scales", "height_scale")}
    kept.pop("keep_aspect_ratio_policy", None)
    scales = np.array([1, 1, scale, 1], np.float32)
    if node.proto.op_type == "Upsample" or node.reader.opset < 11:
        return matrix_of(node, node.proto.op_type, size, [scales], **kept)
    if asked:
        sizes = np.array([1, size, new, 1], np.int64)
        return matrix_of(node, "Resize", size, [None, None, sizes], **kept)
    return matrix_of(node, "Resize", size, [None, scales], **kept)


@reads("Pad")
def pad(node: Node) -> None:
    """Zeros around planes: a convolution of each channel by itself with filters of one 1. Other
    pads are a matrix along each axis, and a Bias where they are not zeros."""
    mode = node.attr("mode", "constant")
    value = node.value(2, "value") if node.has(2) else np.array(node.attr("value", 0.0))
    rank = len(node.shape())
    pads = _pads(node, rank)
    if not any(itertools.chain(*pads)):
        node.same()
        return
    filled = mode == "constant" and bool(value.any())
    plain = rank >= 3 and not any(itertools.chain(*pads[:2]))
    if mode == "constant" and plain and not filled and all(p >= 0 for p in itertools.chain(*pads)):
        from caffelite.onnx.into.windows import pad_planes

        pad_planes(node, pads[2:])
        return
    chain = Chain(node)
    inside = np.ones((), bool).reshape((1,) * rank)
    for axis, (begin, end) in enumerate(pads):
        if not (begin or end):
            continue
        size = chain.shape[axis]
        given = np.array([0, 0, begin, 0, 0, 0, end, 0], np.int64)
        if node.reader.opset < 11:
            matrix = matrix_of(node, "Pad", size, [], mode=mode, pads=given.tolist())
        else:
            matrix = matrix_of(node, "Pad", size, [given], mode=mode)
        chain.along(axis, matrix)
        line = (matrix.sum(1) > 0).reshape([-1 if i == axis else 1 for i in range(rank)])
        inside = inside & line
    if filled:
        chain.scaled(np.where(inside, 0, float(value.reshape(-1)[0])), False)
    chain.end()


def _pads(node: Node, rank: int) -> list[tuple[int, int]]:
    given = node.optional(1, "pads", node.attr("paddings"))
    axes = node.value(3, "axes").tolist() if node.has(3) else list(range(rank))
    pads = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        pads[positive(axis, rank)] = given[i], given[i + len(axes)]
    return pads


@reads("CumSum")
def cumulated(node: Node) -> None:
    chain = Chain(node)
    axis = positive(int(node.value(1, "axis").reshape(())), len(chain.shape))
    size = chain.shape[axis]
    matrix = np.tri(size, k=-1 if node.attr("exclusive", 0) else 0)
    chain.along(axis, matrix.T if node.attr("reverse", 0) else matrix).end()
