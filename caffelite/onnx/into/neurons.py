"""Nodes that work element by element on one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from caffelite.onnx.into.reader import Node, Unsayable, number, reads

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


@reads("Cast")
def cast(node: Node) -> None:
    if node.reader.values[node.inputs[0]].dtype != node.reader.values[node.outputs[0]].dtype:
        raise Unsayable("Caffe has numbers of one type only")
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
        raise Unsayable(f"its slope is {slope.shape}; PReLU has one for each channel")
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
    if old and any(n != 1 for n in node.shape()[axis + 1 :]):
        raise Unsayable("before opset 13 it runs over several axes at once")
    text = f"softmax_param {{ axis: {axis} }}"
    if node.proto.op_type == "Softmax":
        node.make("Softmax", text)
    else:
        node.make("Log", "", [node.part("Softmax", text, [node.bottom()])])
