"""Depthwise convolutions under the names that forks of Caffe gave them."""

from __future__ import annotations

import logging

from caffelite.layers.base import register
from caffelite.layers.cases import Case, random
from caffelite.layers.convolution import Convolution

log = logging.getLogger("caffelite.doubts")  # `check` says it as a warning


@register
class DepthwiseConvolution(Convolution):
    """Convolution under another name: `group` has to be given, usually as the number of channels.

    Formula, shapes, parameters and gradients are those of Convolution, whose own code is fast for
    depthwise filters.
    Source: https://github.com/yonghenglh6/DepthwiseConvolution
    """

    extension = "yonghenglh6/DepthwiseConvolution; reads Caffe's own convolution_param (106)"
    cases = (
        Case(
            'type: "DepthwiseConvolution" convolution_param { num_output: 2 group: 2 '
            "kernel_size: 2 bias_term: false }",
            {"x": [[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]]},
            {"y": [[[[10.0]], [[-3.0]]]]},
            params=[[[[[1.0, 1.0], [1.0, 1.0]]], [[[1.0, 0.0], [0.0, -1.0]]]]],
        ),
        Case(
            'type: "DepthwiseConvolution" convolution_param { num_output: 3 group: 3 '
            "kernel_size: 3 pad: 1 stride: 2 }",
            {"x": random(2, 3, 4, 5)},
        ),
    )


@register
class ConvolutionDepthwise(Convolution):
    """Convolution with one filter for each channel: y[c, o] = b[c] + Σ over t of W[c, t] · x[c, …].

    `group` is the number of channels whatever the text says, and so is `num_output`, which may be
    left out; as in the fork another number in it counts for nothing, and a warning says so.
    Shapes: W is (C, 1, kernel…), b is (C,), tops have C channels. The rest is Convolution's.
    Source: https://github.com/farmingyard/caffe-mobilenet
    """

    extension = "farmingyard/caffe-mobilenet; reads Caffe's own convolution_param (106)"
    cases = (
        Case(
            'type: "ConvolutionDepthwise" convolution_param { kernel_size: 2 }',
            {"x": [[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]]},
            {"y": [[[[10.5]], [[-6.0]]]]},
            params=[[[[[1.0, 1.0], [1.0, 1.0]]], [[[1.0, 0.0], [0.0, -1.0]]]], [0.5, -3.0]],
        ),
        Case(
            'type: "ConvolutionDepthwise" convolution_param { num_output: 3 kernel_size: 3 pad: 1 '
            "stride: 2 bias_term: false }",
            {"x": random(2, 3, 4, 5)},
        ),
    )

    def sizes(self) -> tuple[int, int]:
        p = self.param
        if p.has("num_output") and p.num_output != self.channels:
            log.warning(
                'layer "%s": num_output is %d, but the bottom has %d channels, and so has the top',
                self.name,
                p.num_output,
                self.channels,
            )
        return self.channels, self.channels
