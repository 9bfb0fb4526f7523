"""MVN: each image, or each of its channels, to mean 0 and variance 1."""

from __future__ import annotations

import math

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage


class MVNParameter(LayerMessage, field="mvn_param", number=120):
    """What is normalised, and over what."""

    normalize_variance: bool = field(1, "bool", default=True, doc="divide by the deviation too?")
    across_channels: bool = field(2, "bool", default=False, doc="over a whole sample at once?")
    eps: float = field(3, "float", default=1e-9, doc="added to the standard deviation")


@register
class MVN(Layer):
    """y = (x − μ)/(√v + eps), with mean μ and variance v over each channel of each sample, or
    over each sample with `across_channels`. Without `normalize_variance`, y = x − μ.

    Note that eps is added to the deviation √v; BatchNorm adds it to the variance.

    Gradient: with g = ∂L/∂y and ⟨·⟩ the mean over the same values,
    ∂L/∂x = (g − ⟨g⟩ − ⟨g·y⟩·y)/(√v + eps), or g − ⟨g⟩ without `normalize_variance`. As in Caffe
    the first is exact for eps far below √v only.
    Shapes: bottom and top alike, (N, C, …). (Caffe always makes four axes of it.)
    Source: https://caffe.berkeleyvision.org/tutorial/layers/mvn.html
    """

    param: MVNParameter = param_of(MVNParameter)
    cases = (
        Case(
            'type: "MVN"',
            # means 2 and 0, deviations 1 and 4
            {"x": [[[1.0, 3.0], [4.0, -4.0]]]},
            {"y": [[[-1.0, 1.0], [1.0, -1.0]]]},
        ),
        Case(
            'type: "MVN" mvn_param { normalize_variance: false across_channels: true }',
            {"x": [[[1.0, 3.0], [4.0, -4.0]]]},
            {"y": [[[0.0, 2.0], [3.0, -5.0]]]},
        ),
        Case(
            'type: "MVN" mvn_param { eps: 1 }',
            {"x": [[[2.0, 4.0]]]},
            {"y": [[[-0.5, 0.5]]]},
            gradient=False,  # Caffe's is not exact for a large eps
        ),
        Case('type: "MVN" mvn_param { across_channels: true }', {"x": random(2, 2, 3, 2)}),
        Case('type: "MVN" mvn_param { normalize_variance: false }', {"x": random(2, 2, 3)}),
    )

    def setup(self, bottom: Shapes) -> None:
        self.backward_reads = ("top",) if self.param.normalize_variance else ()

    def reshape(self, bottom: Shapes) -> list[Shape]:
        axes = 1 if self.param.across_channels else 2
        self._sizes = (math.prod(bottom[0][:axes]), math.prod(bottom[0][axes:]))
        return [bottom[0]]

    def prepare(self) -> None:
        self._square = np.empty(self._sizes if self.param.normalize_variance else 0, self.dtype)
        self._deviation = np.empty((self._sizes[0], 1), self.dtype)

    @staticmethod
    def _mean(x: Array) -> Array:
        mean: Array = np.add.reduce(x, 1, keepdims=True) / max(1, x.shape[1])
        return mean

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = bottom[0].reshape(self._sizes), top[0].reshape(self._sizes)
        np.subtract(x, self._mean(x), y)
        if self.param.normalize_variance:
            np.multiply(y, y, self._square)
            np.sqrt(self._mean(self._square), self._deviation)
            np.add(self._deviation, self.param.eps, self._deviation)
            np.divide(y, self._deviation, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        y, g, dx = (a.reshape(self._sizes) for a in (top[0], top_diff[0], bottom_diff[0]))
        mean_g = self._mean(g)
        if not self.param.normalize_variance:
            np.subtract(g, mean_g, dx)
            return
        product = np.multiply(g, y, self._square)
        mean_gy = self._mean(product)
        np.multiply(y, mean_gy, product)
        np.add(product, mean_g, product)
        np.subtract(g, product, dx)
        np.divide(dx, self._deviation, dx)
