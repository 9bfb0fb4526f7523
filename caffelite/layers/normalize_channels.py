"""NormalizeChannels: the channels at each place, of length one in the L2 or L1 norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register, show
from caffelite.layers.cases import Case, random
from caffelite.layers.softmax import SoftmaxParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage

PARAM = "normalize_param"
EPS = 1e-6


class NormalizeChannelsParameter(LayerMessage, field=PARAM, number=1206):
    """Which norm."""

    normalize_type: str = field(1, "string", default="L2", doc="L2, or L1")
    fix_gradient: bool = field(2, "bool", default=False, idle="the fork does not read it")
    bp_norm: bool = field(3, "bool", default=False, doc="does the second top pass its gradient on?")


@register
class NormalizeChannels(Layer):
    """y_c = x_c / n at each place, with n = √(Σ x² + 10⁻⁶) over the channels, or with Σ |x| + 10⁻⁶
    for the `normalize_type` L1. A layer of type "Normalize" with a `normalize_param`, with the
    older `softmax_param { normalize_type }`, or with two tops, is this one; the second top is n.

    Gradient, with g = ∂L/∂y and h = ∂L/∂n (0 without `bp_norm`):  ∂L/∂x = (g − d·Σ g·y)/n + d·h, d
    being y for L2 and the sign of x for L1.
    Shapes: x and y (N, C, …); n (N, 1, …).
    Source: happynear/caffe-windows; Wang et al. 2017, NormFace.
    """

    tops = (1, 2)
    extension = f'happynear/caffe-windows, there {PARAM} = 206; type "Normalize" there'
    param: NormalizeChannelsParameter = param_of(NormalizeChannelsParameter)
    older: SoftmaxParameter = param_of(SoftmaxParameter)
    idle: ClassVar[Mapping[str, str]] = {"softmax_param.axis": "the channels are axis 1"}
    cases = (
        Case(
            f'type: "NormalizeChannels" {PARAM} {{ normalize_type: "L2" }}',
            {"x": [[3.0, 4.0], [0.0, -2.0]]},
            {"y": [[3 / 25.000001**0.5, 4 / 25.000001**0.5], [0.0, -2 / 4.000001**0.5]]},
        ),
        Case(
            'type: "NormalizeChannels" softmax_param { normalize_type: "L1" }',
            {"x": [[[3.0, 1.0], [-1.0, 1.0]]]},
            {
                "y": [[[3 / 4.000001, 1 / 2.000001], [-1 / 4.000001, 1 / 2.000001]]],
                "n": [[[4.000001, 2.000001]]],
            },
            gradient=False,  # without bp_norm the second top passes nothing on
        ),
        Case(
            f'type: "NormalizeChannels" {PARAM} {{ bp_norm: true }}',
            {"x": random(2, 3, 2, 2)},
            tops=["y", "n"],
        ),
        Case(
            f'type: "NormalizeChannels" {PARAM} {{ normalize_type: "L1" bp_norm: true }}',
            {"x": random(2, 3, 2, 2)},
            tops=["y", "n"],
        ),
        Case(f'type: "NormalizeChannels" {PARAM} {{ }}', {"x": random(2, 3, 4)}),
    )

    def setup(self, bottom: Shapes) -> None:
        older = self.older.has("normalize_type") and not self.param.has("normalize_type")
        self.norm: str = (self.older if older else self.param).normalize_type
        if self.norm not in ("L1", "L2"):
            group = "softmax_param" if older else PARAM
            self.fail(
                f'normalize_type "{self.norm}" is not built in',
                group,
                "normalize_type",
                expected='"L2" or "L1"',
            )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        (x,) = bottom
        if len(x) < 2:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(x)}', "bottom", expected="N x C x …"
            )
        self._sizes = (*x[:2], math.prod(x[2:]))
        return [x, (x[0], 1, *x[2:])][: len(self.spec.top)]

    def prepare(self) -> None:
        samples, _, places = self._sizes
        self._norm = np.empty((samples, 1, places), self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x = bottom[0].reshape(self._sizes)
        squares = self.norm == "L2"
        (np.square if squares else np.abs)(x).sum(1, out=self._norm, keepdims=True)
        self._norm += EPS
        if squares:
            np.sqrt(self._norm, self._norm)
        np.divide(x, self._norm, top[0].reshape(self._sizes))
        if len(top) > 1:
            np.copyto(top[1], self._norm.reshape(top[1].shape))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        y, g, dx = (a.reshape(self._sizes) for a in (top[0], top_diff[0], bottom_diff[0]))
        way = y if self.norm == "L2" else np.sign(bottom[0].reshape(self._sizes))
        share = (g * y).sum(1, keepdims=True)
        np.multiply(way, share, dx)
        np.subtract(g, dx, dx)
        np.divide(dx, self._norm, dx)
        if len(top) > 1 and self.param.bp_norm:
            dx += way * top_diff[1].reshape(self._norm.shape)
