"""BN: each channel normalised, scaled and shifted, as two families of forks have it."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.schema.common import NO_CHOICE, Engine, FillerParameter, Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "bn_param"
PSPNET = ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "moving_average")
SEGNET = ("scale_filler", "shift_filler", "bn_mode", "var_eps")


class BNMode(IntEnum):
    """What SegNet's BN does."""

    LEARN = 0
    INFERENCE = 1


class BNParameter(LayerMessage, field=PARAM, number=152):
    """PSPNet's fields first, then SegNet's and ENet's, then CTPN's."""

    slope_filler: FillerParameter = field(1, FillerParameter, doc="PSPNet: first scale; else 1")
    bias_filler: FillerParameter = field(2, FillerParameter, doc="PSPNet: first shift; else 0")
    momentum: float = field(
        3, "float", default=0.9, doc="PSPNet: how much of the stored statistics a pass keeps"
    )
    eps: float = field(4, "float", default=1e-5, least=0, doc="PSPNet: added to the variance")
    frozen: bool = field(
        5, "bool", default=False, doc="PSPNet: stored statistics in training too, nothing learned"
    )
    engine: Engine = field(6, Engine, default=Engine.DEFAULT, idle=NO_CHOICE)
    scale_filler: FillerParameter = field(101, FillerParameter, doc="SegNet: first scale")
    shift_filler: FillerParameter = field(102, FillerParameter, doc="SegNet: first shift")
    bn_mode: BNMode = field(
        103, BNMode, default=BNMode.LEARN, doc="SegNet: INFERENCE scales and shifts only"
    )
    moving_average: bool = field(
        105,
        "bool",
        default=True,
        doc="yjxiong's first BN: true; false, without stored statistics, is refused",
    )
    var_eps: float = field(104, "float", default=1e-9, least=0, doc="SegNet: added to the variance")


def channels(*values: float) -> Array:
    """A parameter with these values."""
    return np.array(values, np.float64).reshape(1, -1, 1, 1)


@register
class BN(Layer):
    """y = s·(x − μ)/√(v + e) + b for each channel (axis 1), with learned s and b.

    PSPNet's (parameters s, b, mean, variance): in phase TRAIN μ and v are the batch's, and the
    stored ones follow, mean ← m·mean + (1 − m)·μ and likewise v, with m = `momentum`; in phase
    TEST, or `frozen`, the stored ones are used. SegNet's and ENet's (parameters s, b): the batch's
    in both phases; with `bn_mode: INFERENCE` y = s·x + b, the statistics being in s and b already.

    Which one it is is seen from its fields, or else from how many `param` it has: 2 are SegNet's;
    without either it is PSPNet's. SegNet's may have a second and a third top, the batch's mean
    and variance, which pass no gradient on.

    Gradient: with g = s·∂L/∂y, n = (x − μ)/√(v + e) and ⟨·⟩ the mean over a channel,
    ∂L/∂x = (g − ⟨g⟩ − ⟨g·n⟩·n)/√(v + e); with stored statistics g/√(v + e); INFERENCE: g.
    ∂L/∂s = Σ n·∂L/∂y, ∂L/∂b = Σ ∂L/∂y.
    Shapes: x and y (N, C, …); parameters, mean and variance (1, C, 1, 1).
    Source: Zhao et al. 2017 (hszhao/PSPNet, also yjxiong/caffe), Badrinarayanan et al. 2015. The
    numbers of bn_param differ: 152 in PSPNet's, 45 in ENet's, 144 in CTPN's fork, 137 in yjxiong's
    (Caffe's embed_param); scale_filler, shift_filler and bn_mode are 1, 2 and 3 in ENet's.
    """

    in_place = True
    tops = (1, 3)
    backward_reads = ()
    extension = "PSPNet's fork, bn_param = 152, and SegNet's and ENet's, bn_param = 45"
    param: BNParameter = param_of(BNParameter)
    cases = (
        Case(
            'type: "BN" bn_param { eps: 0 slope_filler { value: 1 } }',
            # channel 0: mean 2, variance 1; channel 1: mean 0, variance 16
            {"x": [[1.0, 4.0], [3.0, -4.0]]},
            {"y": [[-2.0, 11.0], [2.0, 9.0]]},
            params=[channels(2, 1), channels(0, 10), channels(0, 0), channels(0, 0)],
        ),
        Case(
            'type: "BN" bn_param { eps: 1 momentum: 0.5 }',
            {"x": [[6.0, 4.0]]},
            {"y": [[2 * (6 - 3) / 3 + 1, 3 * (4 - 1) / 1 - 1]]},
            params=[channels(2, 3), channels(1, -1), channels(3, 1), channels(8, 0)],
            phase=Phase.TEST,
        ),
        Case(
            'type: "BN" bn_param { bn_mode: INFERENCE }',
            {"x": [[6.0, 4.0]]},
            {"y": [[13.0, 11.0]]},
            params=[channels(2, 3), channels(1, -1)],
        ),
        Case(
            'type: "BN" bn_param { frozen: true eps: 3 }',
            {"x": random(2, 2, 3)},
            params=[channels(2, 3), channels(1, -1), channels(3, 1), channels(8, 1)],
        ),
        Case(
            'type: "BN" bn_param { scale_filler { value: 1 } var_eps: 0.5 }',
            {"x": random(3, 2, 2, 3)},
            phase=Phase.TEST,
        ),
        Case('type: "BN" param { } param { }', {"x": random(4, 2, 2)}),
        Case(
            'type: "BN" bn_param { scale_filler { value: 1 } var_eps: 0 }',
            {"x": [[1.0, 4.0], [3.0, -4.0]]},
            {"y": [[-2.0, 11.0], [2.0, 9.0]], "mean": channels(2, 0), "variance": channels(1, 16)},
            params=[channels(2, 1), channels(0, 10)],
            gradient=False,  # the mean and the variance pass none on
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        if len(shape) < 2:
            name = self.spec.bottom[0]
            self.fail(f'bottom "{name}" is {show(shape)}', "bottom", expected="N x C x …")
        pspnet = [n for n in PSPNET if p.has(n)]
        segnet = [n for n in SEGNET if p.has(n)]
        if pspnet and segnet:
            self.fail(
                f"{pspnet[0]} is of PSPNet's BN, {segnet[0]} of SegNet's",
                PARAM,
                segnet[0],
                expected="the fields of one of the two",
            )
        if not p.moving_average:
            self.fail(
                "moving_average is false",
                PARAM,
                "moving_average",
                expected="true: statistics are stored, and used in phase TEST",
                hint="the batch's statistics in both phases are SegNet's: scale_filler",
            )
        self.keeps = not segnet and (bool(pspnet) or len(self.spec.param) != 2)
        if len(self.spec.top) > 1 and (self.keeps or p.bn_mode == BNMode.INFERENCE):
            self.fail(
                "the batch has no mean and variance here",
                "top",
                index=1,
                expected="one top; two more are of SegNet's BN that learns",
            )
        self.stored = self.keeps and (p.frozen or self.phase == Phase.TEST)
        self.plain = not self.keeps and p.bn_mode == BNMode.INFERENCE
        self.repeatable = not self.keeps or self.stored
        self._eps = p.eps if self.keeps else p.var_eps
        self.channels = shape[1]
        first = ("slope_filler", "bias_filler") if self.keeps else ("scale_filler", "shift_filler")
        one = FillerParameter(type="constant", value=1.0)
        size = (1, self.channels, 1, 1)
        frozen = self.keeps and p.frozen
        # `frozen` is said beside the rates of training, which it overrules
        for name, filler in zip(first, (one, None)):
            filler = p.get(name) if p.has(name) else filler
            self.declare(size, filler, fixed=frozen, rated=frozen)
        if self.keeps:
            self.declare(size, fixed=True)
            self.declare(size, fixed=True)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        self.need_values(bottom)
        if len(bottom[0]) < 2 or bottom[0][1] != self.channels:
            name = self.spec.bottom[0]
            self.fail(
                f'bottom "{name}" is {show(bottom[0])}, but this layer has '
                f"{self.channels} channels",
                "bottom",
            )
        size = (1, self.channels, 1, 1)
        return [bottom[0], size, size][: len(self.spec.top)]

    def prepare(self) -> None:
        shape = self.bottom_shapes[0]
        self._view = (shape[0], shape[1], math.prod(shape[2:]))
        self._count = max(1, self._view[0] * self._view[2])
        self._norm = np.empty(self._view, self.dtype)
        self._scratch = np.empty(self._view, self.dtype)
        self._deviation = np.ones((self.channels, 1), self.dtype)

    def _mean(self, x: Array) -> Array:
        total: Array = np.add.reduce(np.add.reduce(x, 2), 0)
        return (total / self._count)[:, None]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y, norm = bottom[0].reshape(self._view), top[0].reshape(self._view), self._norm
        scale, shift, *kept = (p.data.reshape(-1, 1) for p in self.params)
        if self.plain:
            np.copyto(norm, x)
        else:
            if self.stored:
                mean, variance = kept
                np.subtract(x, mean, norm)
            else:
                mean = self._mean(x)
                np.subtract(x, mean, norm)
                variance = self._mean(np.multiply(norm, norm, self._scratch))
                for out, value in zip(top[1:], (mean, variance)):
                    out.reshape(-1, 1)[...] = value
                for old, new in zip(kept, (mean, variance)):
                    m = self.param.momentum
                    old[...] = m * old + (1 - m) * new
            np.sqrt(variance + self._eps, self._deviation)
            np.divide(norm, self._deviation, norm)
        np.multiply(norm, scale, y)
        np.add(y, shift, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        g, norm = top_diff[0].reshape(self._view), self._norm
        scale = self.params[0].data.reshape(-1, 1)
        product = np.multiply(g, norm, self._scratch)
        sums = np.add.reduce(np.add.reduce(product, 2), 0), np.add.reduce(np.add.reduce(g, 2), 0)
        for i, total in enumerate(sums):
            if self.learns[i]:
                self.params[i].diff.reshape(-1)[...] += total
        if bottom_diff[0] is None:
            return
        dx = bottom_diff[0].reshape(self._view)
        if self.plain or self.stored:
            np.multiply(g, scale if self.plain else scale / self._deviation, dx)
            return
        mean_gy, mean_g = ((total / self._count)[:, None] for total in sums)
        np.multiply(norm, mean_gy, product)
        np.add(product, mean_g, product)
        np.subtract(g, product, dx)
        np.multiply(dx, scale / self._deviation, dx)
