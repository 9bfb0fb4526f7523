"""Nodes that reduce axes, and those that normalise over them."""

from __future__ import annotations

import math

import numpy as np

from caffelite.onnx.into.chain import Chain, positive
from caffelite.onnx.into.reader import Node, Unsayable, reads

KINDS = {
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "ReduceL1": "ASUM",
    "ReduceSumSquare": "SUMSQ",
    "ReduceL2": "SUMSQ",
    "ReduceLogSum": "SUM",
    "ReduceLogSumExp": "SUM",
}
LARGEST = 4096
"""An ArgMax over more values is not turned around: the matrix would be too large."""


def _axes(node: Node) -> list[int] | None:
    """The axes that are reduced; None: the node does nothing."""
    rank = len(node.shape())
    given = node.optional(1, "axes", [])
    if not given and node.attr("noop_with_empty_axes", 0):
        return None
    return sorted({positive(a, rank) for a in given}) or list(range(rank))


def _last(chain: Chain, axes: list[int]) -> int:
    """Let these axes be the last ones; from which one on they are reduced then."""
    rest = [i for i in range(len(chain.shape)) if i not in axes]
    chain.permute(rest + axes)
    return len(rest)


@reads(*KINDS)
def reduce(node: Node) -> None:
    """A Reduction, behind a Permute where the axes are not the last ones."""
    kind, axes, chain = node.proto.op_type, _axes(node), Chain(node)
    if axes is None:
        if kind not in ("ReduceMean", "ReduceSum"):
            raise Unsayable("it reduces no axes (noop_with_empty_axes)")
        node.same()
        return
    if not chain.shape:
        raise Unsayable("its input is a scalar")
    if 0 in chain.shape:
        raise Unsayable("its input is empty")
    if kind == "ReduceLogSumExp":
        chain.then("Exp")
    chain.reduce(KINDS[kind], _last(chain, axes))
    if kind == "ReduceL2":
        chain.power(0.5)
    elif kind.startswith("ReduceLog"):
        chain.then("Log")
    chain.reshape(node.out_shape()).end()


@reads("ReduceMax", "ReduceMin")
def largest(node: Node) -> None:
    """A Pooling over one row that holds the values of the axes; the minimum is -max(-x)."""
    axes, chain = _axes(node), Chain(node)
    if axes is None:
        node.same()
        return
    if node.reader.values[node.inputs[0]].dtype.kind != "f":
        raise Unsayable("its input is of whole numbers")
    if not chain.shape or 0 in chain.shape:
        raise Unsayable("its input is a scalar or empty")
    minus = -1 if node.proto.op_type == "ReduceMin" else 1
    chain.power(scale=minus)
    axis = _last(chain, axes)
    kept, reduced = chain.shape[:axis], math.prod(chain.shape[axis:])
    batch = kept[0] if kept else 1
    chain.reshape((batch, math.prod(kept[1:]), 1, reduced))
    chain.then(
        "Pooling", "pooling_param { pool: MAX global_pooling: true }", (*chain.shape[:2], 1, 1)
    )
    chain.power(scale=minus).reshape(node.out_shape()).end()


@reads("ArgMax", "ArgMin")
def argmax(node: Node) -> None:
    """Of equal values Caffe takes the last. Where ONNX takes the first, the values are turned
    around before (by a product with a matrix of zeros and ones) and the index after."""
    chain = Chain(node)
    axis = positive(node.attr("axis", 0), len(chain.shape))
    count, first = chain.shape[axis], not node.attr("select_last_index", 0)
    if node.proto.op_type == "ArgMin":
        chain.power(scale=-1)
    if first:
        if count > LARGEST:
            raise Unsayable(f"of equal values it takes the first; Caffe the last of the {count}")
        chain.along(axis, np.eye(count)[::-1])
    shape = (*chain.shape[:axis], 1, *chain.shape[axis + 1 :])
    chain.then("ArgMax", f"argmax_param {{ axis: {axis} }}", shape)
    if first:
        chain.power(scale=-1, shift=count - 1)
    chain.reshape(node.out_shape()).end()


def _normalise(chain: Chain, axis: int, eps: float, centre: bool) -> Chain:
    """(x − μ)/√(σ² + eps) over the axes from `axis` on; without `centre` x/√(mean x² + eps)."""
    x = chain
    if centre:
        mean = x.branch().reduce("MEAN", axis).power(scale=-1)
        x.then("Bias", "bias_param { axis: 0 }", with_=[mean.blob])
    square = x.branch().power(2)
    inverse = square.reduce("MEAN", axis).power(-0.5, shift=eps)
    return x.then("Scale", "scale_param { axis: 0 }", with_=[inverse.blob])


def _channels(chain: Chain, node: Node) -> Chain:
    """Scale and shift of each channel."""
    after = [1] * (len(chain.shape) - 2)
    scale, shift = (node.value(i, name) for i, name in ((1, "scale"), (2, "bias")))
    return chain.scaled(scale.reshape(-1, *after), True).scaled(shift.reshape(-1, *after), False)


@reads("InstanceNormalization")
def instance_norm(node: Node) -> None:
    chain = _normalise(Chain(node), 2, node.attr("epsilon", 1e-5), True)
    _channels(chain, node).end()


@reads("GroupNormalization")
def group_norm(node: Node) -> None:
    chain, groups = Chain(node), node.attr("num_groups")
    shape = chain.shape
    chain.reshape((shape[0], groups, math.prod(shape[1:]) // groups))
    _normalise(chain, 2, node.attr("epsilon", 1e-5), True)
    if node.value(1, "scale").size != shape[1]:  # before opset 21 one for each group
        _channels(chain, node).reshape(shape).end()
        return
    _channels(chain.reshape(shape), node).end()


@reads("LayerNormalization", "RMSNormalization")
def layer_norm(node: Node) -> None:
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        raise Unsayable("its mean and deviation are outputs too")
    chain = Chain(node)
    axis = positive(node.attr("axis", -1), len(chain.shape))
    centre = node.proto.op_type == "LayerNormalization"
    _normalise(chain, axis, node.attr("epsilon", 1e-5), centre)
    chain.scaled(node.value(1, "scale"), True)
    if node.has(2):
        chain.scaled(node.value(2, "bias"), False)
    chain.end()


@reads("MeanVarianceNormalization")
def mean_variance(node: Node) -> None:
    """(x − μ)/(σ + 1e-9), as ONNX's definition has it: Caffe's MVN with that eps."""
    chain, rank = Chain(node), len(node.shape())
    axes = sorted(positive(a, rank) for a in node.attr("axes", [0, 2, 3]))
    order = [i for i in range(rank) if i not in axes] + axes
    chain.permute(order)
    shape, kept = chain.shape, rank - len(axes)
    chain.reshape((math.prod(shape[:kept]), 1, 1, math.prod(shape[kept:])))
    chain.then("MVN", "mvn_param { eps: 1e-9 }").reshape(shape)
    chain.permute([int(i) for i in np.argsort(order)]).end()


@reads("LpNormalization")
def unit_length(node: Node) -> None:
    """x over the sum of |x|, or the root of that of x², along an axis."""
    chain, p = Chain(node), node.attr("p", 2)
    rank = len(chain.shape)
    axis = positive(node.attr("axis", -1), rank)
    order = [i for i in range(rank) if i != axis] + [axis]
    chain.permute(order)
    size = chain.branch().reduce("ASUM" if p == 1 else "SUMSQ", rank - 1)
    # a vector of zeros stays one; next to any other sum this shift is nothing
    inverse = size.power(-1 if p == 1 else -0.5, shift=1e-37)
    chain.then("Scale", "scale_param { axis: 0 }", with_=[inverse.blob])
    chain.permute([int(i) for i in np.argsort(order)]).end()
