"""BatchNorm: each channel to mean 0 and variance 1."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from caffelite.blob import Array, Shape
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
from caffelite.schema.common import FillerParameter, Phase
from caffelite.schema.message import field
from caffelite.schema.net import LayerMessage, LayerParameter


class BatchNormParameter(LayerMessage, field="batch_norm_param", number=139):
    """Which statistics are used, and how they are kept."""

    use_global_stats: bool = field(
        1, "bool", doc="use the stored statistics? Without it: in phase TEST only"
    )
    moving_average_fraction: float = field(
        2, "float", default=0.999, doc="how much of the stored statistics a pass keeps"
    )
    eps: float = field(3, "float", default=1e-5, least=0, doc="added to the variance")
    scale_filler: FillerParameter = field(5, FillerParameter, doc="NVCaffe: first scale; else 1")
    bias_filler: FillerParameter = field(6, FillerParameter, doc="NVCaffe: first shift; else 0")
    scale_bias: bool = field(7, "bool", default=False, doc="NVCaffe: learn a scale and a shift?")
    filler: FillerParameter = field(1007, FillerParameter, doc="Intel's Caffe (7): first scale")


@register
class BatchNorm(Layer):
    """y = (x − μ)/√(v + eps), with mean μ and variance v of each channel (axis 1).

    In phase TRAIN μ and v are the batch's, over all axes but 1, and the stored statistics follow:
    with f = `moving_average_fraction`, m values a channel and v's unbiased form m/(m−1)·v,
    mean ← f·mean + μ;  variance ← f·variance + m/(m−1)·v;  factor ← f·factor + 1.
    In phase TEST, or with `use_global_stats`, μ = mean/factor and v = variance/factor (0 if the
    factor is 0: nothing was ever stored).

    There is no scale and no shift here: Scale with `bias_term` follows in most nets.

    Gradient: ∂L/∂x = (g − ⟨g⟩ − ⟨g·y⟩·y)/√(v + eps) with g = ∂L/∂y and ⟨·⟩ the mean over a
    channel; with stored statistics ∂L/∂x = g/√(v + eps). The statistics are not learned.
    Shapes: x and y (N, C, …); a blob of one axis is one channel. Parameters: mean (C,), variance
    (C,), factor (1,).
    Source: Ioffe & Szegedy 2015; https://caffe.berkeleyvision.org/tutorial/layers/batchnorm.html
    """

    standardizes = True
    rated: ClassVar[bool] = False
    """Is an lr_mult for the statistics passed over?"""
    in_place = True
    backward_reads: tuple[str, ...] = ("top",)
    param: BatchNormParameter = param_of(BatchNormParameter)
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "BatchNorm" batch_norm_param { eps: 0 }',
            # channel 0: mean 2, variance 1; channel 1: mean 0, variance 16
            {"x": [[1.0, 4.0], [3.0, -4.0]]},
            {"y": [[-1.0, 1.0], [1.0, -1.0]]},
            params=[[0.0, 0.0], [0.0, 0.0], [0.0]],
        ),
        Case(
            'type: "BatchNorm" batch_norm_param { eps: 1 }',
            # mean 6/2 and 2/2, variance 16/2 - so √(8 + 1) - and 0
            {"x": [[6.0, 4.0]]},
            {"y": [[1.0, 3.0]]},
            params=[[6.0, 2.0], [16.0, 0.0], [2.0]],
            phase=Phase.TEST,
        ),
        Case(
            'type: "BatchNorm" batch_norm_param { use_global_stats: true eps: 0.25 }',
            {"x": [[3.0], [4.0]]},
            {"y": [[6.0], [8.0]]},
            params=[[0.0], [0.0], [0.0]],
            note="a factor of 0: mean and variance count as 0",
        ),
        Case(
            'type: "BatchNorm" batch_norm_param { use_global_stats: false }',
            {"x": random(3, 2, 2, 3)},
            phase=Phase.TEST,
        ),
        Case('type: "BatchNorm" batch_norm_param { eps: 0.5 }', {"x": random(6)}),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        p = spec.get("batch_norm_param")
        scaled = p.scale_bias or any(p.has(n) for n in ("scale_filler", "bias_filler", "filler"))
        return registry["ScaledBatchNorm"] if scaled else cls

    def setup(self, bottom: Shapes) -> None:
        p = self.param
        self.stored = p.use_global_stats if p.has("use_global_stats") else self.phase == Phase.TEST
        self.repeatable = self.stored
        if self.stored:
            self.backward_reads = ()
        self.channels = self._sizes(bottom[0])[1]
        for i, spec in enumerate(self.spec.param):
            if i < 3 and spec.has("lr_mult") and spec.lr_mult != 0 and not self.rated:
                self.fail(
                    f"lr_mult of parameter {i} is {spec.lr_mult:g}, but statistics are not learned",
                    "param",
                    expected="param { lr_mult: 0 }, or none",
                )
        for shape in ((self.channels,), (self.channels,), (1,)):
            self.declare(shape, fixed=True, rated=self.rated)

    @staticmethod
    def _sizes(shape: Shape) -> tuple[int, int, int]:
        """A shape seen as (samples, channels, places)."""
        if len(shape) < 2:
            return math.prod(shape), 1, 1
        return shape[0], shape[1], math.prod(shape[2:])

    def reshape(self, bottom: Shapes) -> list[Shape]:
        if self._sizes(bottom[0])[1] != self.channels:
            self.fail(
                f'bottom "{self.spec.bottom[0]}" is {show(bottom[0])}, but the statistics are of '
                f"{self.channels} channels",
                "bottom",
            )
        return [bottom[0]]

    def prepare(self) -> None:
        self._view = self._sizes(self.bottom_shapes[0])
        self._count = max(1, self._view[0] * self._view[2])
        self._square = np.empty(self._view if not self.stored else 0, self.dtype)
        self.deviation = np.ones((self.channels, 1), self.dtype)

    def _mean(self, x: Array) -> Array:
        """The mean of each channel, (C, 1), which broadcasts against (N, C, places)."""
        total: Array = np.add.reduce(np.add.reduce(x, 2), 0)
        return (total / self._count)[:, None]

    def statistics(self) -> tuple[Array, Array]:
        """The stored mean and variance."""
        mean, variance, factor = (p.data for p in self.params[:3])
        scale = 0 if factor[0] == 0 else 1 / factor[0]
        return mean * scale, variance * scale

    def store(self, mean: Array, variance: Array) -> None:
        """Let a batch's mean and variance be part of the stored ones."""
        keep, m = self.param.moving_average_fraction, self._count
        unbiased = variance * (m / (m - 1) if m > 1 else 1)
        for blob, new in zip(self.params[:3], (mean, unbiased, np.ones(1, self.dtype))):
            np.multiply(blob.data, keep, blob.data)
            np.add(blob.data, new, blob.data)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        x, y = bottom[0].reshape(self._view), top[0].reshape(self._view)
        if self.stored:
            mu, v = (values[:, None] for values in self.statistics())
            np.subtract(x, mu, y)
        else:
            mu = self._mean(x)
            np.subtract(x, mu, y)
            np.multiply(y, y, self._square)
            v = self._mean(self._square)
            self.store(mu[:, 0], v[:, 0])
        np.sqrt(v + self.param.eps, self.deviation)
        np.divide(y, self.deviation, y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is None:
            return
        y, g, dx = (a.reshape(self._view) for a in (top[0], top_diff[0], bottom_diff[0]))
        if self.stored:
            np.divide(g, self.deviation, dx)
            return
        product = np.multiply(g, y, self._square)
        mean_g, mean_gy = self._mean(g), self._mean(product)
        np.multiply(y, mean_gy, product)
        np.add(product, mean_g, product)
        np.subtract(g, product, dx)
        np.divide(dx, self.deviation, dx)
