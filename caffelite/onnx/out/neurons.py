"""Layers that work element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from caffelite.layers.eltwise import EltwiseOp
from caffelite.layers.exp import log_of_base
from caffelite.onnx.out.place import Place, Unsayable, says
from caffelite.onnx.out.shapes import true_axis


def _simple(kind: str) -> Any:
    def say(layer: Any, at: Place) -> None:
        at.op(kind, at.bottoms[0], out=at.tops[0])

    return say


for _type, _kind in {
    "AbsVal": "Abs",
    "BNLL": "Softplus",
    "Sigmoid": "Sigmoid",
    "TanH": "Tanh",
    "Dropout": "Identity",  # phase TEST
    "SeLuDropout": "Identity",
}.items():
    says(_type)(_simple(_kind))


@says("ReLU")
def relu(layer: Any, at: Place) -> None:
    if layer.param.negative_slope:
        at.op("LeakyRelu", at.bottoms[0], out=at.tops[0], alpha=layer.param.negative_slope)
    else:
        at.op("Relu", at.bottoms[0], out=at.tops[0])


@says("Insanity")
def insanity(layer: Any, at: Place) -> None:
    at.op("LeakyRelu", at.bottoms[0], out=at.tops[0], alpha=layer.slope)


@says("ChannelScale")
def channel_scale(layer: Any, at: Place) -> None:
    x, (batch, _, *places) = at.bottoms[0], at.bottom_dims[0]
    if layer.param.do_forward:
        at.op("Mul", x, at.reshape(at.bottoms[1], (batch, 1, *places)), out=at.tops[0])
    else:
        at.op("Identity", x, out=at.tops[0])


@says("Norm2")
def norm2(layer: Any, at: Place) -> None:
    x = at.reshape(at.bottoms[0], at.top_dims[0])
    length = at.reduce("ReduceL2", x, [1], True)
    none = at.op("Equal", length, 0.0)
    at.op("Div", x, at.op("Where", none, 1.0, length), out=at.tops[0])


@says("CReLU")
def crelu(layer: Any, at: Place) -> None:
    p, x = layer.param, at.bottoms[0]
    kind = ("LeakyRelu", {"alpha": p.negative_slope}) if p.negative_slope else ("Relu", {})
    parts = [at.op(kind[0], part, **kind[1]) for part in (x, at.op("Neg", x))]
    at.op("Concat", *parts, out=at.tops[0], axis=true_axis(p.concat_axis, len(at.shape)))


@says("ForkDropout")
def fork_dropout(layer: Any, at: Place) -> None:
    if layer.drops:
        raise Unsayable("its sample_weights_test drops values at random in phase TEST too")
    at.affine(at.bottoms[0], layer._factor, 0.0, at.tops[0])


@says("SpatialDropout")
def spatial_dropout(layer: Any, at: Place) -> None:
    if layer.drops:
        raise Unsayable("its param_str says TRAIN: it drops channels at random")
    at.affine(at.bottoms[0], layer.factor, 0.0, at.tops[0])


@says("ReLU6")
def relu6(layer: Any, at: Place) -> None:
    at.op("Clip", at.bottoms[0], 0.0, 6.0, out=at.tops[0])


@says("Clip")
def clip(layer: Any, at: Place) -> None:
    low, high = float(layer.param.min), float(layer.param.max)
    at.op("Clip", at.bottoms[0], low, high, out=at.tops[0])


@says("ELU")
def elu(layer: Any, at: Place) -> None:
    at.op("Elu", at.bottoms[0], out=at.tops[0], alpha=layer.param.alpha)


@says("Mish")
def mish(layer: Any, at: Place) -> None:
    x = at.bottoms[0]
    at.op("Mul", x, at.op("Tanh", at.op("Softplus", x)), out=at.tops[0])


@says("SeLu")
def selu(layer: Any, at: Place) -> None:
    p = layer.param
    at.op("Selu", at.bottoms[0], out=at.tops[0], alpha=p.alpha, gamma=p.get("lambda"))


@says("PReLU")
def prelu(layer: Any, at: Place) -> None:
    count = layer.params[0].data.size
    rest = len(at.shape) - 2
    slope = at.param(0, (count, *[1] * rest) if count > 1 else (1,) * (rest + 1))
    at.op("PRelu", at.bottoms[0], slope, out=at.tops[0])


@says("Swish")
def swish(layer: Any, at: Place) -> None:
    x, beta = at.bottoms[0], float(layer.param.beta)
    gate = at.op("Sigmoid", x if beta == 1 else at.op("Mul", x, beta))
    at.op("Mul", x, gate, out=at.tops[0])


@says("Threshold")
def threshold(layer: Any, at: Place) -> None:
    at.cast(at.op("Greater", at.bottoms[0], float(layer.param.threshold)), float, at.tops[0])


@says("Exp")
def exp(layer: Any, at: Place) -> None:
    p = layer.param
    rate = log_of_base(layer, p.base, "exp_param", "base")
    x = at.bottoms[0]
    if rate * p.scale != 1:
        x = at.op("Mul", x, float(rate * p.scale))
    if p.shift:
        x = at.op("Add", x, float(rate * p.shift))
    at.op("Exp", x, out=at.tops[0])


@says("Log")
def log(layer: Any, at: Place) -> None:
    p, x = layer.param, at.bottoms[0]
    if p.scale != 1:
        x = at.op("Mul", x, float(p.scale))
    if p.shift:
        x = at.op("Add", x, float(p.shift))
    rate = log_of_base(layer, p.base, "log_param", "base")
    if rate == 1:
        at.op("Log", x, out=at.tops[0])
    else:
        at.op("Mul", at.op("Log", x), 1 / rate, out=at.tops[0])


@says("Power")
def power(layer: Any, at: Place) -> None:
    p, x, top = layer.param, at.bottoms[0], at.tops[0]
    if p.power * p.scale == 0:  # does not depend on x, and 0 to the power 0 counts as 1
        constant = math.pow(p.shift, p.power) if p.power else 1.0
        at.op("Expand", constant, at.op("Shape", x), out=top)
        return
    if p.power == 1:
        at.affine(x, p.scale, p.shift, top)
        return
    if p.scale != 1:
        x = at.op("Mul", x, float(p.scale))
    if p.shift:
        x = at.op("Add", x, float(p.shift))
    if p.power == 2:
        at.op("Mul", x, x, out=top)
    else:
        at.op("Pow", x, float(p.power), out=top)


@says("EltwiseOne")
def eltwise_one(layer: Any, at: Place) -> None:
    at.op("Mul", at.bottoms[0], float(layer._coeff), out=at.tops[0])


@says("Eltwise")
def eltwise(layer: Any, at: Place) -> None:
    p, top = layer.param, at.tops[0]
    terms = list(at.bottoms)
    kind = {EltwiseOp.PROD: "Mul", EltwiseOp.SUM: "Add", EltwiseOp.MAX: "Max"}[p.operation]
    if kind == "Add" and p.coeff:
        terms = [x if c == 1 else at.op("Mul", x, float(c)) for x, c in zip(terms, p.coeff)]
    if kind == "Max":
        at.op("Max", *terms, out=top)
        return
    total = terms[0]
    for x in terms[1:-1]:
        total = at.op(kind, total, x)
    at.op(kind, total, terms[-1], out=top)


@says("Axpy")
def axpy(layer: Any, at: Place) -> None:
    a, x, y = at.bottoms
    lacking = len(layer.bottom_shapes[1]) - len(layer.bottom_shapes[0])
    if lacking:
        a = at.reshape(a, (*at.bottom_dims[0], *[1] * lacking))
    at.op("Add", at.op("Mul", x, a), y, out=at.tops[0])


def lain(layer: Any, at: Place, axis: int, small: tuple[int, ...], index: int | None) -> str:
    """The small operand of Bias and Scale, so shaped that ONNX repeats it along x's other axes.

    `index`: of the learned parameter; None: it is the second bottom."""
    rest = len(at.shape) - axis - len(small)
    if index is not None:
        return at.param(index, (*small, *[1] * rest))
    if not rest:
        return at.bottoms[1]
    return at.reshape(at.bottoms[1], (*at.bottom_dims[1], *[1] * rest))


def first_axis(layer: Any, small: tuple[int, ...]) -> int:
    """The axis of x that the small operand's first axis lies on. The field says so, but for a
    scalar, which lies anywhere."""
    axis = layer.param.axis
    rank = len(layer.bottom_shapes[0])
    return 0 if not small else axis + rank if axis < 0 else axis


@says("Bias")
def bias(layer: Any, at: Place) -> None:
    learned = len(at.bottoms) == 1
    small = layer.params[0].shape if learned else layer.bottom_shapes[1]
    b = lain(layer, at, first_axis(layer, small), small, 0 if learned else None)
    at.op("Add", at.bottoms[0], b, out=at.tops[0])


@says("Scale")
def scale(layer: Any, at: Place) -> None:
    learned = len(at.bottoms) == 1
    small = layer.params[0].shape if learned else layer.bottom_shapes[1]
    axis = first_axis(layer, small)
    s = lain(layer, at, axis, small, 0 if learned else None)
    if not layer.param.bias_term:
        at.op("Mul", at.bottoms[0], s, out=at.tops[0])
        return
    b = lain(layer, at, axis, small, len(layer.params) - 1)
    at.op("Add", at.op("Mul", at.bottoms[0], s), b, out=at.tops[0])


@says("LSTMUnit")
def lstm_unit(layer: Any, at: Place) -> None:
    before, gates, cont = at.bottoms
    hidden = layer.bottom_shapes[0][2]
    axis, mask = 2, at.op("Unsqueeze", cont, np.array([2]))
    i, f, o, g = at.ops("Split", gates, [hidden] * 4, outs=[None] * 4, axis=axis)
    i, f, o = (at.op("Sigmoid", part) for part in (i, f, o))
    kept = at.op("Mul", at.op("Mul", f, before), mask)
    at.op("Add", kept, at.op("Mul", i, at.op("Tanh", g)), out=at.tops[0])
    at.op("Mul", o, at.op("Tanh", at.tops[0]), out=at.tops[1])
