"""Nodes that work element by element on one tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.onnx.into.chain import Chain
from caffelite.onnx.into.reader import Node, Unsayable, number, reads

PRODUCT = "eltwise_param { operation: PROD }"
SIMPLE = {
    "Relu": ("ReLU", ""),
    "Sigmoid": ("Sigmoid", ""),
    "Tanh": ("TanH", ""),
    "Abs": ("AbsVal", ""),
    "Exp": ("Exp", ""),
    "Log": ("Log", ""),
    "Softplus": ("BNLL", ""),
    "Neg": ("Power", "power_param { scale: -1 }"),
    "Sqrt": ("Power", "power_param { power: 0.5 }"),
    "Reciprocal": ("Power", "power_param { power: -1 }"),
}


def _simple(kind: str, text: str) -> Any:
    def read(node: Node) -> None:
        node.make(kind, text)

    return read


for _kind, _layer in SIMPLE.items():
    reads(_kind)(_simple(*_layer))


@reads("Identity", "Dropout")
def identity(node: Node) -> None:
    if node.attr("training_mode") or (node.has(2) and node.value(2, "training_mode").any()):
        raise Unsayable("it drops values at random (training_mode)")
    node.same()


@reads("Cast", "CastLike")
def cast(node: Node) -> None:
    """Whole numbers that become float32 are those numbers already; an index is never made whole:
    Embed reads floats that are."""
    if node.outputs[0] in node.reader.indices:
        node.same()
        return
    old, new = (node.reader.values[n].dtype for n in (node.inputs[0], node.outputs[0]))
    if old != new and (new != np.float32 or old.kind not in "iu"):
        raise Unsayable(f"from {old} to {new}: Caffe has float32 only")
    node.same()


@reads("LeakyRelu")
def leaky(node: Node) -> None:
    node.make("ReLU", f"relu_param {{ negative_slope: {number(node.attr('alpha', 0.01))} }}")


@reads("Elu")
def elu(node: Node) -> None:
    node.make("ELU", f"elu_param {{ alpha: {number(node.attr('alpha', 1.0))} }}")


@reads("PRelu")
def prelu(node: Node) -> None:
    slope, shape = node.value(1, "slope"), node.shape()
    values: Any
    if slope.size == 1:
        text, values = "prelu_param { channel_shared: true }", np.asarray(slope.ravel()[0])
    elif slope.size == shape[1] and slope.shape[-(len(shape) - 1) :][0] == shape[1]:
        text, values = "", slope.reshape(-1)
    else:
        # max(x, 0) - slope·max(-x, 0)
        below = Chain(node).power(scale=-1).then("ReLU").scaled(-slope, True)
        above = Chain(node).then("ReLU")
        above.then("Eltwise", with_=[below.blob]).end()
        return
    node.make("PReLU", text, params=[values])


@reads("Clip")
def clip(node: Node) -> None:
    low, high = (
        float(node.value(i, name)) if node.has(i) else node.attr(name)
        for i, name in ((1, "min"), (2, "max"))
    )
    largest = float(np.finfo(np.float32).max)
    if (low is None or low <= -largest) and (high is None or high >= largest):
        node.same()
    elif low == 0 and (high is None or high >= largest):
        node.make("ReLU")
    else:
        low, high = -largest if low is None else low, largest if high is None else high
        node.make("Clip", f"clip_param {{ min: {number(low)} max: {number(high)} }}")


def _hard_sigmoid(node: Node, alpha: float, beta: float) -> tuple[str, str]:
    text = f"power_param {{ scale: {number(alpha)} shift: {number(beta)} }}"
    return node.part("Power", text, [node.bottom()]), "clip_param { min: 0 max: 1 }"


@reads("HardSigmoid")
def hard_sigmoid(node: Node) -> None:
    line, text = _hard_sigmoid(node, node.attr("alpha", 0.2), node.attr("beta", 0.5))
    node.make("Clip", text, [line])


@reads("HardSwish")
def hard_swish(node: Node) -> None:
    line, text = _hard_sigmoid(node, 1 / 6, 0.5)
    gate = node.part("Clip", text, [line])
    node.make("Eltwise", "eltwise_param { operation: PROD }", [node.bottom(), gate])


@reads("Swish")
def swish(node: Node) -> None:
    node.make("Swish", f"swish_param {{ beta: {number(node.attr('alpha', 1.0))} }}")


@reads("Mish")
def mish(node: Node) -> None:
    gate = node.part("TanH", "", [node.part("BNLL", "", [node.bottom()])])
    node.make("Eltwise", "eltwise_param { operation: PROD }", [node.bottom(), gate])


@reads("Selu")
def selu(node: Node) -> None:
    alpha, gamma = node.attr("alpha", 1.6732632423543772), node.attr("gamma", 1.0507009873554805)
    inner = node.part("ELU", f"elu_param {{ alpha: {number(alpha)} }}", [node.bottom()])
    node.make("Power", f"power_param {{ scale: {number(gamma)} }}", [inner])


@reads("Softsign")
def softsign(node: Node) -> None:
    size = node.part("AbsVal", "", [node.bottom()])
    inverse = node.part("Power", "power_param { power: -1 shift: 1 }", [size])
    node.make("Eltwise", "eltwise_param { operation: PROD }", [node.bottom(), inverse])


@reads("Softmax", "LogSoftmax")
def softmax(node: Node) -> None:
    rank, old = len(node.shape()), node.reader.opset < 13
    axis = node.attr("axis", 1 if old else -1)
    axis = axis + rank if axis < 0 else axis
    chain = Chain(node)
    if old and any(n != 1 for n in node.shape()[axis + 1 :]):
        # before opset 13 it runs over all axes from there on
        chain.reshape((int(np.prod(chain.shape[:axis])), int(np.prod(chain.shape[axis:]))))
        axis = 1
    chain.then("Softmax", f"softmax_param {{ axis: {axis} }}")
    if node.proto.op_type == "LogSoftmax":
        chain.then("Log")
    chain.reshape(node.out_shape()).end()


@reads("Gelu")
def gelu(node: Node) -> None:
    """With approximate="tanh": x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2."""
    if node.attr("approximate", "none") != "tanh":
        raise Unsayable("Caffe has no error function (approximate=tanh could be said)")
    cube = Chain(node).power(3).power(scale=0.044715)
    gate = Chain(node).then("Eltwise", with_=[cube.blob]).power(scale=math.sqrt(2 / math.pi))
    gate.then("TanH").power(scale=0.5, shift=0.5)
    Chain(node).then("Eltwise", PRODUCT, with_=[gate.blob]).end()


@reads("Celu")
def celu(node: Node) -> None:
    alpha = node.attr("alpha", 1.0)
    Chain(node).power(scale=1 / alpha).then("ELU").power(scale=alpha).end()


def _above(node: Node, limit: float, sign: int = 1) -> Chain:
    """1 where ±x is above a limit, else 0."""
    text = f"threshold_param {{ threshold: {number(limit)} }}"
    return Chain(node).power(scale=sign).then("Threshold", text)


@reads("ThresholdedRelu")
def thresholded(node: Node) -> None:
    gate = _above(node, node.attr("alpha", 1.0))
    Chain(node).then("Eltwise", PRODUCT, with_=[gate.blob]).end()


@reads("Sign")
def sign(node: Node) -> None:
    below = _above(node, 0, -1)
    text = "eltwise_param { operation: SUM coeff: 1 coeff: -1 }"
    _above(node, 0).then("Eltwise", text, with_=[below.blob]).end()


@reads("Shrink")
def shrink(node: Node) -> None:
    """x - bias where x > λ, x + bias where x < -λ, else 0."""
    bias, limit, sides = node.attr("bias", 0.0), node.attr("lambd", 0.5), []
    for way in (1, -1):
        gate = _above(node, limit, way)
        side = Chain(node).power(shift=-way * bias)
        sides.append(side.then("Eltwise", PRODUCT, with_=[gate.blob]))
    sides[0].then("Eltwise", with_=[sides[1].blob]).end()
