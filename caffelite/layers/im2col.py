"""Im2col: the windows of a convolution laid out as channels."""

from __future__ import annotations

import math

from caffelite.blob import Array, Shape
from caffelite.layers.base import Arrays, Diffs, Layer, Shapes, param_of, register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolving import PARAM, ConvolutionParameter
from caffelite.layers.windows import check_fit, read_window


@register
class Im2col(Layer):
    """y[(c, t), o] = x[c, o·stride − pad + t·dilation], 0 outside the image.

    Of `convolution_param` only the window counts: kernel, stride, pad, dilation and axis.
    Shapes: x is (images…, C, spatial…), y is (images…, C·taps, outputs…) with the outputs of a
    Convolution with the same window.

    Gradient: ∂L/∂x = col2im(∂L/∂y): each entry is added where it came from.
    Source: https://caffe.berkeleyvision.org/tutorial/layers/im2col.html
    """

    backward_reads = ()
    param: ConvolutionParameter = param_of(ConvolutionParameter)
    cases = (
        Case(
            'type: "Im2col" convolution_param { kernel_size: 2 }',
            {"x": [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]},
            {"y": [[[[1.0, 2.0]], [[2.0, 3.0]], [[4.0, 5.0]], [[5.0, 6.0]]]]},
        ),
        Case(
            'type: "Im2col" convolution_param { kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 '
            "dilation: 2 }",
            {"x": random(2, 3, 5, 6)},
        ),
        Case(
            'type: "Im2col" convolution_param { kernel_size: 2 axis: 2 }',
            {"x": random(2, 2, 3, 4)},
        ),
    )

    def setup(self, bottom: Shapes) -> None:
        self.channel_axis = self.axis(self.param.axis, len(bottom[0]), PARAM, "axis")
        rank = len(bottom[0]) - self.channel_axis - 1
        if rank < 1:
            self.fail("no spatial axis follows the channels", PARAM, "axis")
        self.window = read_window(self, PARAM, rank)

    def reshape(self, bottom: Shapes) -> list[Shape]:
        shape, axis, window = bottom[0], self.channel_axis, self.window
        spatial = shape[axis + 1 :]
        if len(spatial) != len(window.kernel):
            self.fail(f"{len(window.kernel)} spatial axes have become {len(spatial)}", "bottom")
        outputs = window.output_shape(spatial)
        check_fit(self, PARAM, window, spatial, outputs)
        return [(*shape[:axis], shape[axis] * window.taps, *outputs)]

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        self.kernels.im2col(self._batch(bottom[0]), self.window, self._batch(top[0]))

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        if bottom_diff[0] is not None:
            columns, dx = self._batch(top_diff[0]), self._batch(bottom_diff[0])
            self.kernels.col2im(columns, self.window, dx)

    def _batch(self, blob: Array) -> Array:
        axis = self.channel_axis
        if axis == 1:
            return blob
        return blob.reshape(math.prod(blob.shape[:axis]), *blob.shape[axis:])
