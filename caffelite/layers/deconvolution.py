"""Deconvolution: the transpose of a convolution, for upsampling."""

from __future__ import annotations

import math
from typing import ClassVar

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Shapes, register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolving import ConvolvingLayer


@register
class Deconvolution(ConvolvingLayer):
    """y = b + col2im(Wᵀ · x): each input is multiplied with a filter, which is added to the output.

    y[m, i·stride − pad + t·dilation] += W[c, m, t] · x[c, i]; the forward pass is a convolution's
    gradient towards its data, and the other way round. `stride` is the factor of enlargement.

    Shapes: x is (images…, C, spatial…); W is (C, M/group, kernel…), C first, unlike Convolution's;
    b is (M,); y is (images…, M, outputs…) with outputs = stride·(size − 1) + span − 2·pad and
    span = dilation·(kernel − 1) + 1.

    Gradients, with Y the columns of ∂L/∂y: ∂L/∂x = W · Y, a convolution;  ∂L/∂W = x · Yᵀ;
    ∂L/∂b = Σ over images and outputs of ∂L/∂y.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/deconvolution.html; Long, Shelhamer and
    Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015
    """

    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "Deconvolution" convolution_param { num_output: 1 kernel_size: 2 stride: 2 }',
            {"x": [[[[1.0, 2.0]]]]},
            {"y": [[[[1.5, 2.5, 2.5, 4.5], [3.5, 4.5, 6.5, 8.5]]]]},
            params=[[[[[1.0, 2.0], [3.0, 4.0]]]], [0.5]],
        ),
        Case(
            'type: "Deconvolution" convolution_param { num_output: 1 kernel_size: 3 pad: 1 '
            "bias_term: false }",
            {"x": [[[[1.0, 2.0]]]]},
            {"y": [[[[3.0, 3.0]]]]},
            params=[[[[[1.0] * 3] * 3]]],
            note="overlapping filters add up",
        ),
        Case(
            'type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 4 group: 2 '
            "stride: 2 pad: 1 }",
            {"x": random(2, 2, 3, 2)},
        ),
        Case(
            'type: "Deconvolution" convolution_param { num_output: 3 kernel_size: 3 group: 3 '
            "stride: 2 dilation: 2 }",
            {"x": random(1, 3, 2, 3)},
        ),
        Case(
            'type: "Deconvolution" convolution_param { num_output: 2 kernel_size: 3 stride: 2 }',
            {"x": random(2, 3, 4), "z": random(2, 3, 4)},
            tops=["y", "w"],
            note="one spatial axis, two bottoms",
        ),
    )

    def multiply_adds(self, bottom: Shapes, top: Shapes) -> int:
        """Every position of the input is spread: N · prod(H_in …) · |W|."""
        return sum(math.prod(b) // b[1] for b in bottom) * math.prod(self.declared[0].shape)

    def weight_shape(self, channels: int) -> Shape:
        return (channels, self.outputs // self.group)

    def moved(self, spatial: Shape) -> Shape:
        return self.window.input_shape(spatial)

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        kernels, weights = self.kernels, self.params[0].data
        for x, y in zip(map(self.batch, bottom), map(self.batch, top)):
            kernels.conv_backward_data(x, weights, y, self.window, self.group)
            if self.bias is not None:
                kernels.add_bias(y, self.bias)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        kernels, weights, window = self.kernels, self.params[0], self.window
        fresh = self.gradients.fresh
        for x, dy, dx in zip(map(self.batch, bottom), map(self.batch, top_diff), bottom_diff):
            if self.learns[0]:
                kernels.conv_backward_weights(dy, x, weights.diff, window, self.group, fresh=fresh)
            if self.param.bias_term and self.learns[1]:
                kernels.conv_backward_bias(dy, self.params[1].diff, fresh)
            if dx is not None:
                kernels.conv_forward(dy, weights.data, None, self.batch(dx), window, self.group)
            fresh = False
