"""Normalize: vectors of length one, times a learned scale."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Shape
from caffelite.layers.base import (
    Arrays,
    Diffs,
    Layer,
    Shapes,
    param_of,
    register,
    registry,
    show,
)
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter


class NormalizeParameter(LayerMessage, field="norm_param", number=206):
    """What a vector is, and its scale."""

    across_spatial: bool = field(
        1, "bool", default=True, doc="one vector a sample, else one at each place, of its channels"
    )
    scale_filler: FillerParameter = field(2, FillerParameter, doc="first values of the scale (1)")
    channel_shared: bool = field(3, "bool", default=True, doc="one scale, else one a channel")
    eps: float = field(4, "float", default=1e-10, doc="added to the square of the length")


@register
class Normalize(Layer):
    """y_c = s_c·x_c / n with the length n = √(Σ x² + eps), summed over the channels and, with
    `across_spatial`, over all places too; s is learned and starts at 1.

    Gradients, with g_c = s_c·∂L/∂y_c:  ∂L/∂x = (g − x·(Σ x·g) / n²) / n, the sum being that of n;
    ∂L/∂s_c = Σ over samples and places of ∂L/∂y_c·x_c / n, over the channels too if they share s.
    (The fork leaves s out of the sum, which is right only if all s_c are equal.)

    A layer with a `normalize_param`, or with two tops, is NormalizeChannels.
    Shapes: bottom and top alike, (N, C, …); s is () or, without `channel_shared`, (C,).
    Source: the SSD fork of Caffe; Liu, Rabinovich & Berg 2015, "ParseNet", section 3.2.
    """

    backward_reads = ("bottom",)
    extension = "SSD fork, norm_param 206"
    param: NormalizeParameter = param_of(NormalizeParameter)
    cases = (
        Case(
            'type: "Normalize" norm_param { across_spatial: false channel_shared: false }',
            {"x": [[3.0, 4.0], [0.0, -2.0]]},
            {"y": [[6.0, 8.0], [0.0, -10.0]]},
            params=[[10.0, 10.0]],
        ),
        Case(
            'type: "Normalize" norm_param { eps: 2.25 }',
            {"x": [[[1.0, 1.0], [1.0, -1.0]]]},
            {"y": [[[0.8, 0.8], [0.8, -0.8]]]},
            params=[2.0],
            note="n = √(1 + 1 + 1 + 1 + 2.25)",
        ),
        Case('type: "Normalize" norm_param { across_spatial: false }', {"x": random(2, 3, 2, 2)}),
        Case(
            'type: "Normalize" norm_param { across_spatial: false channel_shared: false }',
            {"x": random(2, 3, 2, 2)},
        ),
        Case('type: "Normalize" norm_param { channel_shared: false }', {"x": random(2, 3, 4)}),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        """NormalizeChannels, where a fork's field or a second top says so."""
        said = spec.has("normalize_param") or spec.get("softmax_param").has("normalize_type")
        return registry["NormalizeChannels"] if said or len(spec.top) > 1 else cls

    def setup(self, bottom: Shapes) -> None:
        p, shape = self.param, bottom[0]
        self.axis(1, len(shape), "bottom")
        one = FillerParameter(type="constant", value=1.0)
        self.declare(
            () if p.channel_shared else (shape[1],),
            p.scale_filler if p.has("scale_filler") else one,
        )

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if not self.param.channel_shared and bottom[0][1:2] != self.declared[0].shape:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(bottom[0])}, but there are '
                f"{self.declared[0].shape[0]} scales",
                "bottom",
            )
        self._sizes = (*bottom[0][:2], math.prod(bottom[0][2:]))
        self._summed = (1, 2) if self.param.across_spatial else (1,)
        return [bottom[0]]

    def prepare(self) -> None:
        samples, _, places = self._sizes
        norm_shape = (samples, 1, 1 if self.param.across_spatial else places)
        self._norm = np.empty(norm_shape, self.dtype)
        self._sum = np.empty(norm_shape, self.dtype)
        self._product = np.empty(self._sizes, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y, n = bottom[0].reshape(self._sizes), top[0].reshape(self._sizes), self._norm
        np.multiply(x, x, self._product)
        np.add.reduce(self._product, self._summed, out=n, keepdims=True)
        np.add(n, self.param.eps, n)
        np.sqrt(n, n)
        np.divide(x, n, y)
        np.multiply(y, self.params[0].data.reshape(-1, 1), y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        x, dy, n = bottom[0].reshape(self._sizes), top_diff[0].reshape(self._sizes), self._norm
        product, scale = self._product, self.params[0]
        if self.learns[0]:
            np.multiply(dy, x, product)
            np.divide(product, n, product)
            axes = (0, 1, 2) if self.param.channel_shared else (0, 2)
            np.add(scale.diff, np.add.reduce(product, axes), scale.diff)
        if bottom_diff[0] is not None:
            g = bottom_diff[0].reshape(self._sizes)
            np.multiply(dy, scale.data.reshape(-1, 1), g)
            np.multiply(x, g, product)
            np.add.reduce(product, self._summed, out=self._sum, keepdims=True)
            np.divide(self._sum, n, self._sum)
            np.divide(self._sum, n, self._sum)
            np.multiply(x, self._sum, product)
            np.subtract(g, product, g)
            np.divide(g, n, g)
