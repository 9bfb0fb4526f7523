"""Convolution: filters moved over images."""

from __future__ import annotations

from typing import ClassVar

from caffelite.blob import Shape
from caffelite.layers.base import Arrays, Diffs, Layer, register, registry
from caffelite.layers.cases import Case, random
from caffelite.layers.convolving import PARAM, ConvolvingLayer
from caffelite.layers.windows import has_frames, padded
from caffelite.schema.net import LayerParameter


@register
class Convolution(ConvolvingLayer):
    """y[m, o] = b[m] + Σ over c and taps t of W[m, c, t] · x[c, o·stride − pad + t·dilation].

    x counts as 0 outside the image. With `group` g, channels and outputs are cut into g equal
    parts, and each part of the outputs sees its part of the channels only.

    Shapes: x is (images…, C, spatial…), any number of spatial axes; W is (M, C/g, kernel…); b is
    (M,); y is (images…, M, outputs…) with outputs = ⌊(size + 2·pad − span) / stride⌋ + 1 and
    span = dilation·(kernel − 1) + 1. Several bottoms of one shape share the filters, each with its
    own top.

    Gradients, with X the columns of x (one column of C/g·taps values for each output):
    ∂L/∂x = col2im(Wᵀ · ∂L/∂y);  ∂L/∂W = ∂L/∂y · Xᵀ;  ∂L/∂b = Σ over images and outputs of ∂L/∂y.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/convolution.html
    """

    cases: ClassVar[tuple[Case, ...]] = (
        Case(
            'type: "Convolution" convolution_param { num_output: 1 kernel_size: 2 }',
            {"x": [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]},
            {"y": [[[[6.5, 8.5], [12.5, 14.5]]]]},
            params=[[[[[1.0, 0.0], [0.0, 1.0]]]], [0.5]],
        ),
        Case(
            'type: "Convolution" convolution_param { num_output: 1 kernel_size: 3 pad: 1 stride: 2 '
            "dilation: 1 bias_term: false }",
            {"x": [[[[1.0, 2.0], [3.0, 4.0]]]]},
            {"y": [[[[10.0]]]]},
            params=[[[[[1.0] * 3] * 3]]],
            note="one output sees the whole padded image",
        ),
        Case(
            'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 '
            "stride: 2 pad: 1 }",
            {"x": random(2, 6, 5, 4)},
        ),
        Case(
            'type: "Convolution" convolution_param { num_output: 3 kernel_size: 3 group: 3 '
            "dilation: 2 pad: 2 }",
            {"x": random(2, 3, 4, 5)},
            note="depthwise and dilated",
        ),
        Case(
            'type: "Convolution" convolution_param { num_output: 2 kernel_h: 1 kernel_w: 3 '
            "stride_h: 2 stride_w: 1 pad_w: 1 }",
            {"x": random(2, 2, 4, 3)},
        ),
        Case(
            'type: "Convolution" convolution_param { num_output: 2 kernel_size: 1 }',
            {"x": random(1, 3, 2, 3), "z": random(1, 3, 2, 3)},
            tops=["y", "w"],
            note="two bottoms share the filters",
        ),
        Case(
            'type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 kernel_size: 1 '
            "kernel_size: 2 pad: 1 stride: 2 }",
            {"x": random(1, 2, 3, 3, 2)},
            note="three spatial axes",
        ),
        Case(
            'type: "Convolution" convolution_param { num_output: 2 kernel_size: 2 axis: -2 }',
            {"x": random(2, 2, 3, 4)},
            note="one spatial axis; the two axes before the channels are all images",
        ),
    )

    @classmethod
    def chosen(cls, spec: LayerParameter) -> type[Layer]:
        if has_frames(spec, PARAM):
            return registry["Convolution3D"]
        return padded(cls, spec, PARAM, "PaddedConvolution")

    def weight_shape(self, channels: int) -> Shape:
        return (self.outputs, channels // self.group)

    def moved(self, spatial: Shape) -> Shape:
        return self.window.output_shape(spatial)

    def forward(self, bottom: Arrays, top: Arrays, relu: bool = False) -> None:
        """`relu`: what is below 0 becomes 0."""
        weights = self.params[0].data
        for x, y in zip(bottom, top):
            self.kernels.conv_forward(
                self.batch(x), weights, self.bias, self.batch(y), self.window, self.group, relu=relu
            )

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        kernels, weights, window = self.kernels, self.params[0], self.window
        fresh = self.gradients.fresh
        for x, dy, dx in zip(map(self.batch, bottom), map(self.batch, top_diff), bottom_diff):
            if self.learns[0]:
                kernels.conv_backward_weights(x, dy, weights.diff, window, self.group, fresh=fresh)
            if self.param.bias_term and self.learns[1]:
                kernels.conv_backward_bias(dy, self.params[1].diff, fresh)
            if dx is not None:
                kernels.conv_backward_data(dy, weights.data, self.batch(dx), window, self.group)
            fresh = False
