"""Sums, products and the like of two or more tensors, or of a tensor and a constant."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.onnx.into.chain import Chain
from caffelite.onnx.into.reader import Node, Unsayable, number, reads


@reads("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")
def arithmetic(node: Node) -> None:
    kind, count = node.proto.op_type, len(node.inputs)
    constant = [node.reader.is_constant(name) for name in node.inputs]
    if count == 1:
        node.same()
    elif count == 2 and any(constant) and kind in ("Add", "Sub", "Mul", "Div", "Sum"):
        _with_constant(node, kind, constant.index(True))
    elif count == 2 and any(constant) and kind in ("Max", "Min"):
        _limited(node, kind, constant.index(True))
    elif len({node.shape(i) for i in range(count)}) == 1:
        _alike(node, kind)
    elif count == 2 and kind in ("Add", "Sub", "Mul", "Div", "Sum"):
        _broadcast(node, kind)
    else:
        _repeated(node, kind)


def _alike(node: Node, kind: str, bottoms: list[str] | None = None) -> None:
    bottoms = bottoms or [node.bottom(i) for i in range(len(node.inputs))]
    if kind == "Div":
        bottoms[1] = node.part("Power", "power_param { power: -1 }", bottoms[1:])
    if kind == "Min":  # -max(-a, -b)
        negative = "power_param { scale: -1 }"
        bottoms = [node.part("Power", negative, [b]) for b in bottoms]
        largest = node.part("Eltwise", "eltwise_param { operation: MAX }", bottoms)
        node.make("Power", negative, [largest])
        return
    coeff = {"Sub": [1.0, -1.0], "Mean": [1 / len(bottoms)] * len(bottoms)}.get(kind, [])
    operation = {"Mul": "PROD", "Div": "PROD", "Max": "MAX"}.get(kind, "SUM")
    factors = " ".join(f"coeff: {number(c)}" for c in coeff)
    node.make("Eltwise", f"eltwise_param {{ operation: {operation} {factors} }}", bottoms)


def _limited(node: Node, kind: str, which: int) -> None:
    """The larger, or the smaller, of a tensor and a number."""
    value = np.asarray(node.reader.values[node.inputs[which]], np.float32)
    if value.size != 1 or node.out_shape() != node.shape(1 - which):
        raise Unsayable(f"a constant {value.shape} for each element; Clip has one for all")
    largest = float(np.finfo(np.float32).max)
    limit = float(value.reshape(()))
    low, high = (limit, largest) if kind == "Max" else (-largest, limit)
    text = f"clip_param {{ min: {number(low)} max: {number(high)} }}"
    node.make("Clip", text, [node.bottom(1 - which)])


def _with_constant(node: Node, kind: str, which: int) -> None:
    value = np.asarray(node.reader.values[node.inputs[which]], np.float64)
    x, shape = node.bottom(1 - which), node.shape(1 - which)
    if kind == "Div" and which == 0:
        x, kind = node.part("Power", "power_param { power: -1 }", [x]), "Mul"
    elif kind == "Div":
        value, kind = 1 / value, "Mul"
    elif kind == "Sub" and which == 1:
        value, kind = -value, "Add"
    negative = kind == "Sub"  # constant - x
    if node.out_shape() != shape:
        if not shape or 0 in node.out_shape():
            raise Unsayable(f"the constant {value.shape} makes more of the tensor {shape}")
        chain = Chain(node, blob=x, shape=shape).expanded(node.out_shape())
        chain.power(scale=-1 if negative else 1).scaled(value, kind == "Mul").end()
        return
    if value.size == 1:
        what = "scale" if kind == "Mul" else "shift"
        sign = "scale: -1 " if negative else ""
        text = f"power_param {{ {sign}{what}: {number(float(value.reshape(())))} }}"
        node.make("Power", text, [x])
        return
    chain = Chain(node, blob=x, shape=shape)
    chain.power(scale=-1 if negative else 1).scaled(value, kind == "Mul").end()


def _broadcast(node: Node, kind: str) -> None:
    """Tensors of which one or both are repeated along some axes."""
    large = 0 if node.shape(0) == node.out_shape() else 1
    shape, small = node.shape(large), node.shape(1 - large)
    small = (1,) * (len(shape) - len(small)) + small
    axes = [i for i, n in enumerate(small) if n != 1] or [0]
    first, last = axes[0], axes[-1] + 1
    if small[:1] == shape[:1]:
        first = 0  # the batch is one of the axes, even where it is 1
    if shape != node.out_shape() or small[first:last] != shape[first:last]:
        _repeated(node, kind)
        return
    x, y = node.bottom(large), node.bottom(1 - large)
    if kind == "Div" and large == 0:
        y, kind = node.part("Power", "power_param { power: -1 }", [y]), "Mul"
    elif kind == "Div":
        x, kind = node.part("Power", "power_param { power: -1 }", [x]), "Mul"
    elif kind == "Sub" and large == 0:
        y = node.part("Power", "power_param { scale: -1 }", [y])
    elif kind == "Sub":
        x = node.part("Power", "power_param { scale: -1 }", [x])
    if node.shape(1 - large) != shape[first:last]:
        dims = " ".join(
            f"dim: {n}" for n in (0 if first == 0 else shape[first], *shape[first + 1 : last])
        )
        y = node.part("Reshape", f"reshape_param {{ shape {{ {dims} }} }}", [y])
    layer, field = ("Scale", "scale_param") if kind == "Mul" else ("Bias", "bias_param")
    node.make(layer, f"{field} {{ axis: {first} }}", [x, y])


def _repeated(node: Node, kind: str) -> None:
    """Both made as large as what comes out, then element by element."""
    out = node.out_shape()
    if 0 in out or not all(node.shape(i) for i in range(len(node.inputs))):
        raise Unsayable("it repeats a scalar, or is empty")
    bottoms = [Chain(node, i).expanded(out).blob for i in range(len(node.inputs))]
    _alike(node, kind, bottoms)


@reads("Pow")
def power(node: Node) -> None:
    exponent = node.value(1, "exponent")
    if exponent.size != 1:
        raise Unsayable("its exponents differ from element to element")
    node.make("Power", f"power_param {{ power: {number(float(exponent.reshape(())))} }}")


@reads("Gemm")
def gemm(node: Node) -> None:
    if node.attr("transA", 0):
        raise Unsayable("transA: its input would be turned")
    alpha, beta = node.attr("alpha", 1.0), node.attr("beta", 1.0)
    weight = node.value(1, "matrix")
    weight = alpha * (weight if node.attr("transB", 0) else weight.T)
    params, outputs = [weight], weight.shape[0]
    if node.has(2):
        bias = beta * node.value(2, "bias")
        if bias.ndim == 2 and bias.shape[0] != 1:  # the bias differs from row to row
            text = f"inner_product_param {{ num_output: {outputs} bias_term: false }}"
            chain = Chain(node).then("InnerProduct", text, node.out_shape(), params)
            chain.scaled(bias, False).end()
            return
        params.append(np.broadcast_to(bias.reshape(-1), (outputs,)))
    _product(node, params, 1)


@reads("MatMul")
def matmul(node: Node) -> None:
    left, right = (node.reader.is_constant(name) for name in node.inputs)
    if not left and not right:
        raise Unsayable("both matrices depend on the inputs; Caffe multiplies by parameters only")
    index = 0 if left else 1
    weight, rank = node.value(index, "matrix"), len(node.shape(1 - index))
    if weight.ndim == 3 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim != 2 or rank < 2 or len(node.out_shape()) != rank:
        raise Unsayable("its matrix is not one of two axes")
    if left:
        Chain(node, 1).along(rank - 2, weight).end()
    else:
        _product(node, [weight.T], rank - 1)


def _product(node: Node, params: list[Array], axis: int) -> None:
    bias = "" if len(params) > 1 else "bias_term: false"
    text = f"inner_product_param {{ num_output: {params[0].shape[0]} axis: {axis} {bias} }}"
    node.make("InnerProduct", text, params=params)
