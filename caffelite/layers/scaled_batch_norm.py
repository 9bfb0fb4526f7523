"""ScaledBatchNorm: BatchNorm with a scale and a shift of its own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from caffelite.layers.base import Arrays, Diffs, Shapes, register
from caffelite.layers.batch_norm import BatchNorm
from caffelite.layers.cases import Case, random
from caffelite.schema.common import FillerParameter, Phase


@register
class ScaledBatchNorm(BatchNorm):
    """y = s·n + b for each channel, n being what BatchNorm gives. A layer of type "BatchNorm" with
    `scale_bias: true`, or with a filler of scale or shift, is this one. The statistics are kept as
    BatchNorm keeps them, with the factor that both are to be divided by; NVCaffe stores a factor
    of 1; an lr_mult that the text gives for the statistics is passed over, as there.

    Gradient: with g = ∂L/∂y, ∂L/∂n = s·g goes on as in BatchNorm; ∂L/∂s = Σ n·g, ∂L/∂b = Σ g.
    Shapes: as BatchNorm; parameters: mean (C,), variance (C,), factor (1,), scale (C,), shift (C,).
    Source: Ioffe & Szegedy 2015; NVCaffe (scale_bias, scale_filler 5, bias_filler 6), and Intel's
    Caffe (filler 7 and bias_filler 8 there, which are NVCaffe's scale_bias and nothing).
    """

    rescales = True
    rated = True
    backward_reads: tuple[str, ...] = ()
    extension = 'NVCaffe and Intel\'s Caffe; type "BatchNorm" there'
    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "ScaledBatchNorm" batch_norm_param { eps: 0 scale_bias: true }',
            {"x": [[1.0, 4.0], [3.0, -4.0]]},
            {"y": [[-2.0, 11.0], [2.0, 9.0]]},
            params=[[0.0, 0.0], [0.0, 0.0], [0.0], [2.0, 1.0], [0.0, 10.0]],
        ),
        Case(
            'type: "ScaledBatchNorm" batch_norm_param { eps: 1 scale_bias: true }',
            {"x": [[6.0, 4.0]]},
            {"y": [[3.0, 8.0]]},
            params=[[6.0, 2.0], [16.0, 0.0], [2.0], [2.0, 3.0], [1.0, -1.0]],
            phase=Phase.TEST,
        ),
        Case(
            'type: "ScaledBatchNorm" batch_norm_param { eps: 0.5 scale_bias: true }',
            {"x": random(3, 2, 2, 3)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        super().setup(bottom)
        self.backward_reads = ()
        p = self.param
        given = next((p.get(n) for n in ("scale_filler", "filler") if p.has(n)), None)
        self.declare((self.channels,), given or FillerParameter(type="constant", value=1.0))
        self.declare((self.channels,), p.bias_filler if p.has("bias_filler") else None)

    def prepare(self) -> None:
        super().prepare()
        self._norm = np.empty(self.bottom_shapes[0], self.dtype)
        self._scaled = np.empty(self._view, self.dtype)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        super().forward(bottom, [self._norm])
        y, norm = top[0].reshape(self._view), self._norm.reshape(self._view)
        np.multiply(norm, self.params[3].data[:, None], y)
        np.add(y, self.params[4].data[:, None], y)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        g, norm = top_diff[0].reshape(self._view), self._norm.reshape(self._view)
        for i, values in ((3, norm), (4, None)):
            if self.learns[i]:
                part = g if values is None else np.multiply(g, values, self._scaled)
                self.params[i].diff[...] += np.add.reduce(np.add.reduce(part, 2), 0)
        if bottom_diff[0] is not None:
            np.multiply(g, self.params[3].data[:, None], self._scaled)
            super().backward([self._norm], [self._scaled], bottom, bottom_diff)
