"""Convolution, its depthwise names, and Deconvolution, with the channels innermost in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, channels_last, takes

aten = torch.ops.aten


@takes("Convolution", "DepthwiseConvolution", "ConvolutionDepthwise")
class Convolution(Op):
    """y = W * x + b and its gradients, by `aten`."""

    channels_last = True
    transposed = False

    def prepare(self) -> None:
        layer = self.layer
        window, shape = layer.window, layer.bottom_shapes[0]  # type: ignore[attr-defined]
        self.rank = len(window.kernel)
        axis = layer.channel_axis  # type: ignore[attr-defined]
        if not 1 <= self.rank <= 3 or min(*shape, 1) < 1 or min(*layer.top_shapes[0], 1) < 1:
            raise Unsupported
        self.plain = axis == 1
        self.group: int = layer.group  # type: ignore[attr-defined]
        self.biased: bool = layer.param.bias_term  # type: ignore[attr-defined]
        self.setting = (
            list(window.stride),
            list(window.pad),
            list(window.dilation),
            self.transposed,
            [0] * self.rank,
            self.group,
        )
        self.weight = self.weights[0]
        self.bias = self.weights[1] if self.biased else None

    def fused(self) -> bool:
        """Can a ReLU be part of the forward pass?"""
        float32 = self.dtype == torch.float32
        has_onednn: Any = torch.backends.mkldnn.is_available
        planar = self.rank == 2 and not self.transposed
        return self.on_cpu and float32 and planar and bool(has_onednn())

    def as_batch(self, x: Tensor) -> Tensor:
        """A blob as (images, channels, spatial…), channels innermost."""
        return channels_last(x if self.plain else x.reshape(-1, *x.shape[-self.rank - 1 :]))

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        tops = []
        for x, shape in zip(bottom, self.shapes[1]):
            y = aten.convolution(self.as_batch(x), self.weight, self.bias, *self.setting)
            tops.append(y if self.plain else y.reshape(shape))
        return tops

    def forward_relu(self, bottom: Tensors) -> Tensors:
        """max(0, y), in one go."""
        stride, pad, dilation, _, _, group = self.setting
        run = torch.ops.mkldnn._convolution_pointwise
        tops = []
        for x, shape in zip(bottom, self.shapes[1]):
            x = self.as_batch(x)
            y = run(x, self.weight, self.bias, pad, stride, dilation, group, "relu", [], "")
            tops.append(y if self.plain else y.reshape(shape))
        return tops

    def backward(
        self, top: Given, top_diff: Tensors, bottom: Given, needed: Sequence[bool], spare: Spare
    ) -> Given:
        learns = self.layer.learns
        bias_sizes = list(self.bias.shape) if self.bias is not None else None
        found: list[Tensor | None] = []
        for i, (x, dy, need) in enumerate(zip(bottom, top_diff, needed)):
            assert x is not None
            x, dy = self.as_batch(x), self.as_batch(dy)
            biased = self.biased and learns[1]
            mask = [need, learns[0], biased]
            dx: Any = None
            dw: Any = None
            db: Any = None
            if any(mask):
                setting = (bias_sizes, *self.setting, mask)
                dx, dw, db = aten.convolution_backward(dy, x, self.weight, *setting)
            if learns[0]:
                self.learn(0, dw, add=i > 0)
            if biased:
                self.learn(1, db, add=i > 0)
            found.append(dx.reshape(self.shapes[0][i]) if need and not self.plain else dx)
        return found


@takes("Deconvolution")
class Deconvolution(Convolution):
    """The transpose: its weights are (C, M/group, kernel…), as `aten` has them too."""

    transposed = True
