"""Convolution, its depthwise names, and Deconvolution, with the channels innermost in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffelite.engines.torch.op import Given, Op, Spare, Tensors, Unsupported, channels_last, takes

aten = torch.ops.aten

FEW_PLACES, MANY_WEIGHTS = 512, 1 << 18
"""With so few places in the tops and so many weights, their gradient is a product that reads x as
columns: oneDNN's own kernel for it spends half of its time on putting weights in order."""
ENOUGH_IMAGES = 16
"""PyTorch gives a 1×1 convolution of fewer images to a kernel half as fast, if on one thread."""


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
        self.parts = self._parts(layer.bottom_shapes[0])
        self.by_columns = self._by_columns(layer.top_shapes[0])

    def _parts(self, shape: Sequence[int]) -> int:
        """In how many images a 1×1 convolution sees its places, which are all alike to it; 0: as
        they come."""
        stride, pad = self.setting[:2]
        kernel = self.weight.shape[2:]
        alone = self.rank == 2 and self.group == 1 and not self.transposed and self.plain
        if not alone or {*kernel, *stride} != {1} or any(pad):
            return 0
        if not self.on_cpu or shape[0] >= ENOUGH_IMAGES:
            return 0
        places = shape[0] * shape[2] * shape[3]
        return next((k for k in range(ENOUGH_IMAGES, places + 1) if places % k == 0), 0)

    def _by_columns(self, top: Sequence[int]) -> bool:
        """Is the weights' gradient a product of the top's and of x in columns?"""
        usual = self.fused() and self.plain and self.group == 1
        places = math.prod(top) // max(1, self.weight.shape[0])
        return usual and places <= FEW_PLACES and self.weight.numel() >= MANY_WEIGHTS

    def weight_gradient(self, x: Tensor, dy: Tensor) -> Tensor:
        """Σ over the places of ∂L/∂y · x, for `by_columns`."""
        (n, outputs, *out), (_, c, _, _) = dy.shape, x.shape
        kernel, (stride, pad, dilation) = self.weight.shape[2:], self.setting[:3]
        if any(pad):
            sides = (pad[1], pad[1], pad[0], pad[0])
            x = channels_last(torch.nn.functional.pad(x, sides))
        image, _, down, right = x.stride()
        steps = (down * stride[0], right * stride[1], down * dilation[0], right * dilation[1])
        places, columns = n * math.prod(out), c * math.prod(kernel)
        seen = x.as_strided((n, *out, *kernel, c), (image, *steps, 1))
        seen = seen.reshape(1, places, columns, 1)
        rows = dy.transpose(0, 1).reshape(outputs, places, 1, 1)
        # oneDNN multiplies matrices twice as fast as the library behind torch.mm on some machines
        run = torch.ops.mkldnn._convolution_pointwise
        dw: Tensor = run(seen, rows, None, [0, 0], [1, 1], [1, 1], 1, "none", [], "")
        return dw.view(outputs, *kernel, c).permute(0, 3, 1, 2)

    def fused(self) -> bool:
        """Can a ReLU be part of the forward pass?"""
        float32 = self.dtype == torch.float32
        has_onednn: Any = torch.backends.mkldnn.is_available
        planar = self.rank == 2 and not self.transposed
        return self.on_cpu and float32 and planar and bool(has_onednn())

    def as_batch(self, x: Tensor) -> Tensor:
        """A blob as (images, channels, spatial…), channels innermost."""
        x = channels_last(x if self.plain else x.reshape(-1, *x.shape[-self.rank - 1 :]))
        if not self.parts:
            return x
        (n, c, h, w), k = x.shape, self.parts
        return packed(x, (k, c, 1, n * h * w // k))

    def as_blob(self, y: Tensor, shape: Sequence[int]) -> Tensor:
        """What `as_batch` was made of."""
        if self.parts:
            return packed(channels_last(y), shape)
        return y if self.plain else y.reshape(shape)

    def forward(self, bottom: Tensors, spare: Spare) -> Tensors:
        tops = []
        for x, shape in zip(bottom, self.shapes[1]):
            y = aten.convolution(self.as_batch(x), self.weight, self.bias, *self.setting)
            tops.append(self.as_blob(y, shape))
        return tops

    def forward_relu(self, bottom: Tensors) -> Tensors:
        """max(0, y), in one go."""
        stride, pad, dilation, _, _, group = self.setting
        run = torch.ops.mkldnn._convolution_pointwise
        tops = []
        for x, shape in zip(bottom, self.shapes[1]):
            x = self.as_batch(x)
            y = run(x, self.weight, self.bias, pad, stride, dilation, group, "relu", [], "")
            tops.append(self.as_blob(y, shape))
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
            apart = self.by_columns and learns[0]
            mask = [need, learns[0] and not apart, biased]
            dx: Any = None
            dw: Any = None
            db: Any = None
            if any(mask):
                setting = (bias_sizes, *self.setting, mask)
                dx, dw, db = aten.convolution_backward(dy, x, self.weight, *setting)
            if learns[0]:
                self.learn(0, self.weight_gradient(x, dy) if apart else dw, add=i > 0)
            if biased:
                self.learn(1, db, add=i > 0)
            found.append(self.as_blob(dx, self.shapes[0][i]) if need else None)
        return found


def packed(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same memory, channels innermost, as images of another shape."""
    _, c, h, w = shape
    return x.as_strided(tuple(shape), (c * h * w, 1, w * c, c))


@takes("Deconvolution")
class Deconvolution(Convolution):
    """The transpose: its weights are (C, M/group, kernel…), as `aten` has them too."""

    transposed = True
